import type { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { createAuditVerifier, type AuditLink } from './audit-chain.ts';
import { PAGE_TEXT, pageLimit } from './event-page.ts';
import type { Reads, StoredAudit } from './reads.ts';
import { checkpointReader } from './sqlite-audit.ts';
import { guarded } from './sqlite-database.ts';

/** What a check takes between two yields: about 2 ms, most of it for the MACs. */
const CHUNK_RECORDS = 100;
const CHUNK_BYTES = 262_144;

/** Rows up to about `size` of text, at least one. */
export const upTo = <R extends { readonly text: { readonly length: number } }>(
  rows: Iterable<R>,
  size: number,
): R[] => {
  const taken: R[] = [];
  let room = size;
  for (const row of rows) {
    if (taken.length > 0 && row.text.length > room) break;
    taken.push(row);
    room -= row.text.length;
  }
  return taken;
};

/** The reads of the audit over any connection to the journal's file. Records are in their table with the commit. */
export const auditReadsOver = (
  db: DatabaseSync,
  file: string,
  key: Uint8Array,
): Pick<Reads, 'auditRecords' | 'verifyAudit'> => {
  // Casts, since whoever changes a file may change a type as well.
  const page = db.prepare(`
    SELECT n, CAST(mac AS TEXT) AS mac, CAST(text AS TEXT) AS text FROM audit WHERE n > ? ORDER BY n LIMIT ?`);
  const links = db.prepare(`
    SELECT n, CAST(mac AS TEXT) AS mac, CAST(text AS BLOB) AS text FROM audit
    WHERE n > ? AND n <= ? ORDER BY n LIMIT ${CHUNK_RECORDS}`);
  const last = db.prepare('SELECT max(n) AS n FROM audit');

  const checkpoint = checkpointReader(db);
  /** The next records with the checkpoint as it was at the same moment. */
  const nextOf = (after: number, end: number) => {
    db.exec('BEGIN');
    try {
      return { begin: checkpoint(), chunk: upTo(rowsOf<AuditLink>(links.iterate(after, end)), CHUNK_BYTES) };
    } finally {
      db.exec('ROLLBACK');
    }
  };

  const read = <T>(work: () => T): T => guarded(`the audit in ${file} could not be read`, work);
  const rowsOf = <R>(rows: unknown): Iterable<R> => rows as Iterable<R>;

  return {
    auditRecords: async ({ after, limit }) => {
      const rows = read(() => upTo(rowsOf<StoredAudit>(page.iterate(after, pageLimit(limit))), PAGE_TEXT));
      const items = rows.map(({ n, mac, text }) => ({ n, mac, text }));
      const end = read(() => (last.get() as { n: number | null }).n);
      const seen = items.at(-1)?.n;
      return { items, next: seen === undefined || end === null || seen >= end ? null : seen };
    },
    verifyAudit: async (head) => {
      const verifier = createAuditVerifier(key, head);
      const end = read(() => (last.get() as { n: number | null }).n) ?? 0;
      verifier.begin(read(checkpoint));
      // Below the first number as well: a record there is none of the chain.
      for (let after: number | undefined = Number.MIN_SAFE_INTEGER; after !== undefined && after < end; ) {
        const from: number = after;
        const { begin, chunk } = read(() => nextOf(from, end));
        verifier.begin(begin);
        for (const link of chunk) verifier.take(link);
        after = chunk.at(-1)?.n;
        await setImmediate();
      }
      return verifier.finish();
    },
  };
};
