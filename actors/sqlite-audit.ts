import type { DatabaseSync } from 'node:sqlite';
import { type AuditCheckpoint, chainAudit, EMPTY_CHAIN } from './audit-chain.ts';
import type { AuditHead } from './reads.ts';

/** The end of the audit's chain, as the one writer holds it. */
export interface AuditLog {
  /**
   * Chains entries to the end. `commit` runs the insertion it is given inside a transaction that is committed when it
   * returns; where it throws, the end stays where it was.
   */
  append(texts: readonly string[], commit: (insert: () => void) => void): void;
  /** Reads the end anew: at the start, and after a transaction whose outcome is unknown. */
  reload(): void;
}

export const hasAudit = (db: DatabaseSync): boolean =>
  db.prepare('SELECT 1 FROM audit UNION ALL SELECT 1 FROM checkpoint LIMIT 1').get() !== undefined;

/** Reads what the chain begins at; null where nothing was pruned. */
export const checkpointReader = (db: DatabaseSync): (() => AuditCheckpoint | null) => {
  // Casts, since whoever changes a file may change a type as well.
  const select = db.prepare(`
    SELECT n, CAST(mac AS TEXT) AS mac, CAST(seal AS TEXT) AS seal FROM checkpoint ORDER BY n DESC LIMIT 1`);
  return () => (select.get() as unknown as AuditCheckpoint | undefined) ?? null;
};

export const createAuditLog = (db: DatabaseSync, key: Uint8Array): AuditLog => {
  const last = db.prepare('SELECT n, mac FROM audit ORDER BY n DESC LIMIT 1');
  const checkpoint = checkpointReader(db);
  const insert = db.prepare('INSERT INTO audit (n, text, mac) VALUES (?, ?, ?)');
  let head = EMPTY_CHAIN;
  return {
    append: (texts, commit) => {
      const records = chainAudit(key, head, texts);
      commit(() => {
        for (const { n, text, mac } of records) insert.run(n, text, mac);
      });
      head = records.at(-1) ?? head;
    },
    reload: () => {
      head = (last.get() as AuditHead | undefined) ?? checkpoint() ?? EMPTY_CHAIN;
    },
  };
};
