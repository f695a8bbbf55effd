import type { DatabaseSync } from 'node:sqlite';
import { transact } from './sqlite-database.ts';

/** Turns are gathered into rows of about this size, in UTF-16 units, so that `apply` can take the log in even bites. */
const ROW_TEXT = 131_072;
/** How much unapplied text is kept in memory, in UTF-16 units; what lies beyond may mention anything. */
const KEPT_TEXT = 33_554_432;

export interface LogRow {
  readonly id: number;
  /** One or more turns, joined by line feeds. */
  readonly text: string;
}

const SESSION = /ses_[0-9A-Z]{26}/g;
const isSession = (mention: string): boolean => /^ses_[0-9A-Z]{26}$/.test(mention);

interface Entry {
  readonly id: number;
  readonly length: number;
  readonly text: string | null;
}

/**
 * The rows of `log` that the tables lack, oldest first. What is in the database is mirrored here, so that a read can
 * tell without parsing whether something unapplied concerns it.
 */
export interface LogTail {
  /** How much text it holds, in UTF-16 units. */
  readonly size: number;
  /**
   * Makes texts durable as one transaction: one row for most groups, further ones for large groups. `beside` writes
   * what belongs into the same transaction.
   */
  append(texts: readonly string[], beside?: () => void): void;
  /** The oldest rows up to about `most` of text, at least one. Empty when the tail is. */
  oldest(most: number): readonly LogRow[];
  /** Deletes rows inside the caller's transaction; {@link LogTail.forget} follows once that is committed. */
  remove(lastId: number): void;
  forget(lastId: number): void;
  /** Whether a row up to `lastId` is still there. */
  holds(lastId: number): boolean;
  /** The last row that mentions the text, or any where it is null; 0 for none. */
  lastMention(mention: string | null): number;
  /** Reads the rows anew: at the start, and after a transaction whose outcome is unknown. */
  reload(): void;
}

export const createLogTail = (db: DatabaseSync): LogTail => {
  const insert = db.prepare('INSERT INTO log (id, text) VALUES (?, ?)');
  const select = db.prepare('SELECT text FROM log WHERE id = ?');
  const list = db.prepare('SELECT id, length(text) AS length FROM log ORDER BY id');
  const remove = db.prepare('DELETE FROM log WHERE id <= ?');
  let entries: Entry[] = [];
  let kept = 0;
  let size = 0;
  /** The last row that speaks of each session, as far as `indexed`; in order of these rows. */
  const mentions = new Map<string, number>();
  let indexed = 0;
  /** The last row whose text is not kept. */
  let blind = 0;
  // Never reused while the process runs, also when the table is empty: a wait for a row must not meet another one.
  let nextId = 1;

  const textOf = (entry: Entry): string => entry.text ?? (select.get(entry.id) as { text: string }).text;

  const push = (id: number, length: number, text: string | null): void => {
    if (text === null) blind = id;
    else kept += length;
    size += length;
    entries.push({ id, length, text });
  };

  /** Only when somebody asks: what is soon in the tables is mostly not asked for before. */
  const index = (): void => {
    const last = entries.at(-1)?.id ?? 0;
    if (last <= indexed) return;
    for (const { id, text } of entries.slice(entries.findLastIndex((entry) => entry.id <= indexed) + 1)) {
      for (const session of new Set(text?.match(SESSION))) {
        mentions.delete(session);
        mentions.set(session, id);
      }
    }
    indexed = last;
  };

  return {
    get size() {
      return size;
    },
    append: (texts, beside) => {
      const rows = inRows(texts).map((text) => ({ id: nextId++, text }));
      // One row needs no BEGIN and COMMIT of its own: the statement is the transaction.
      if (rows.length === 1 && beside === undefined) for (const { id, text } of rows) insert.run(id, text);
      else
        transact(db, () => {
          for (const { id, text } of rows) insert.run(id, text);
          beside?.();
        });
      for (const { id, text } of rows) push(id, text.length, kept + text.length <= KEPT_TEXT ? text : null);
    },
    oldest: (most) => {
      const rows: LogRow[] = [];
      let room = most;
      for (const entry of entries) {
        if (rows.length > 0 && entry.length > room) break;
        rows.push({ id: entry.id, text: textOf(entry) });
        room -= entry.length;
      }
      return rows;
    },
    remove: (lastId) => {
      remove.run(lastId);
    },
    forget: (lastId) => {
      const gone = entries.filter((entry) => entry.id <= lastId);
      entries = entries.slice(gone.length);
      for (const { length, text } of gone) {
        kept -= text === null ? 0 : length;
        size -= length;
      }
      for (const [session, id] of mentions) {
        if (id > lastId) break;
        mentions.delete(session);
      }
    },
    holds: (lastId) => entries.length > 0 && (entries[0] as Entry).id <= lastId,
    lastMention: (mention) => {
      if (mention === null) return entries.at(-1)?.id ?? 0;
      if (!isSession(mention)) return entries.findLast(({ text }) => text?.includes(mention) !== false)?.id ?? 0;
      index();
      return Math.max(mentions.get(mention) ?? 0, blind);
    },
    reload: () => {
      entries = [];
      mentions.clear();
      kept = 0;
      size = 0;
      for (const { id, length } of list.all() as unknown as { id: number; length: number }[]) push(id, length, null);
      nextId = Math.max(nextId, (entries.at(-1)?.id ?? 0) + 1);
    },
  };
};

const inRows = (texts: readonly string[]): string[] => {
  const rows: string[] = [];
  let row: string[] = [];
  let size = 0;
  for (const text of texts) {
    if (row.length > 0 && size + text.length > ROW_TEXT) {
      rows.push(row.join('\n'));
      row = [];
      size = 0;
    }
    row.push(text);
    size += text.length;
  }
  rows.push(row.join('\n'));
  return rows;
};
