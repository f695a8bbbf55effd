import type { DatabaseSync } from 'node:sqlite';
import { createPageBuilder } from './event-page.ts';
import type { EventPage, Reads } from './reads.ts';
import { guarded } from './sqlite-database.ts';

/**
 * Brings what the log still holds into the tables before a read: all that mentions `mention` (a session, an id), or
 * everything where it is null.
 */
export type Settle = (mention: string | null) => Promise<void>;

/** How many packs one page of events looks at, and how much of their text it reads, before it answers with `next`. */
const PAGE_PACKS = 2_000;
const PAGE_PACK_TEXT = 4 * 1_048_576;

interface PackRow {
  readonly first: number;
  readonly last: number;
  readonly types: string;
}

/** The reading of events over any connection to the journal's file; `settle` runs before each page. */
export const eventReadsOver = (db: DatabaseSync, file: string, settle: Settle): Pick<Reads, 'events'> => {
  const lastSeq = db.prepare('SELECT seq FROM sessions WHERE session = ?');
  const firstSeq = db.prepare('SELECT min(first) AS first FROM events WHERE session = ?');
  const packs = db.prepare(`
    SELECT first, last, types FROM events
    WHERE session = ?1 AND last > ?2
      AND first >= (SELECT coalesce(max(first), 0) FROM events WHERE session = ?1 AND first <= ?2)
    ORDER BY first LIMIT ?3`);
  const packText = db.prepare('SELECT text FROM events WHERE session = ? AND first = ?');

  const fill = (session: string, after: number, limit: number, wanted: ReadonlySet<string> | null): EventPage => {
    const last = (lastSeq.get(session) as { seq: number } | undefined)?.seq ?? 0;
    const first = (firstSeq.get(session) as { first: number | null }).first ?? last + 1;
    const builder = createPageBuilder(after, limit);
    let budget = PAGE_PACK_TEXT;
    let left = PAGE_PACKS;
    for (const pack of packs.iterate(session, after, PAGE_PACKS) as IterableIterator<unknown> as Iterable<PackRow>) {
      const types = pack.types.split(' ');
      if (wanted === null || types.some((type) => wanted.has(type))) {
        if (budget <= 0) return builder.finish(first, last);
        const { text } = packText.get(session, pack.first) as { text: string };
        budget -= text.length;
        const lines = text.split('\n');
        const full = lines.some((line, index) => {
          const seq = pack.first + index;
          if (seq <= after) return false;
          return (wanted === null || wanted.has(types[index] as string)) && !builder.add(seq, line);
        });
        if (full) return builder.finish(first, last);
      }
      builder.pass(pack.last);
      left--;
    }
    if (left > 0) builder.pass(last);
    return builder.finish(first, last);
  };

  return {
    events: async (session, { after, limit, types }) => {
      await settle(session);
      return guarded(`the journal ${file} could not be read`, () => {
        db.exec('BEGIN');
        try {
          return fill(session, after, limit, types === undefined ? null : new Set(types));
        } finally {
          db.exec('ROLLBACK');
        }
      });
    },
  };
};
