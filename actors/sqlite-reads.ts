import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { addressOf } from '../machines/address.ts';
import type { SessionId } from '../machines/id.ts';
import { readAuditKey } from './audit-key.ts';
import { pageLimit } from './event-page.ts';
import { StoreFailedError } from './journal.ts';
import type { Reads, StoredActor } from './reads.ts';
import { auditReadsOver } from './sqlite-audit-reads.ts';
import { eventReadsOver, type Settle } from './sqlite-event-reads.ts';
import { databaseFile, guarded, openReader } from './sqlite-database.ts';

const DEFAULT_DEADLINE_MS = 10_000;

export interface SqliteReadsOptions {
  readonly directory: string;
  readonly settle: Settle;
  /** How long a read waits for `settle`; default 10,000 ms. */
  readonly deadlineMs?: number;
}

/**
 * Reads over a connection of their own, for the thread that serves requests. The journal of the same process must be
 * open on the directory. Each read rejects with `StoreFailedError`.
 */
export const createSqliteReads = (options: SqliteReadsOptions): Reads & { close(): void } => {
  const key = readAuditKey(options.directory);
  const db = openReader(options.directory);
  const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
  let open = true;
  const settle: Settle = async (mention) => {
    await withDeadline(options.settle(mention), deadlineMs);
    if (!open) throw new StoreFailedError('the reads are closed');
  };
  return {
    ...readsOver(db, databaseFile(options.directory), key, settle),
    close: () => {
      if (open) db.close();
      open = false;
    },
  };
};

const withDeadline = async (settled: Promise<void>, deadlineMs: number): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StoreFailedError(`the log was not brought into the tables within ${deadlineMs} ms`));
    }, deadlineMs);
  });
  try {
    await Promise.race([settled, late]);
  } finally {
    clearTimeout(timer);
  }
};

interface ActorRow {
  readonly session: SessionId;
  readonly kind: string;
  readonly id: string;
  readonly state: string;
  readonly done: number;
  readonly context: string;
}

/**
 * The reads over any connection to the journal's file; `settle` runs before each that reads tables which follow the log.
 * `key` checks the audit.
 */
export const readsOver = (db: DatabaseSync, file: string, key: Uint8Array, settle: Settle): Reads => {
  const columns = 'session, kind, id, state, done, context';
  const one = db.prepare(`SELECT ${columns} FROM actors WHERE session = ? AND kind = ? AND id = ?`);
  const page = db.prepare(
    `SELECT ${columns} FROM actors WHERE session = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?`,
  );
  const byId = db.prepare(`SELECT ${columns} FROM actors WHERE id = ? AND kind = ?`);
  const byAlias = db.prepare(`SELECT ${columns} FROM aliases JOIN actors USING (session, kind, id) WHERE alias = ?`);
  const byLabel = db.prepare(
    `SELECT ${columns} FROM actors WHERE kind = ? AND label = ? AND id > ? ORDER BY id LIMIT ?`,
  );
  const actorsOf = (statement: StatementSync, ...values: SQLInputValue[]): StoredActor[] =>
    guarded(`the journal ${file} could not be read`, () =>
      (statement.all(...values) as unknown as ActorRow[]).map(actorOf),
    );

  return {
    ...auditReadsOver(db, file, key),
    ...eventReadsOver(db, file, settle),
    actor: async (address) => {
      const { session, kind, id } = addressOf(address);
      await settle(session);
      return actorsOf(one, session, kind, id)[0] ?? null;
    },
    actors: async (session, kind, { after = '', limit }) => {
      await settle(session);
      return actorsOf(page, session, kind, after, pageLimit(limit));
    },
    find: async (kind, id) => {
      await settle(id);
      return actorsOf(byId, id, kind)[0] ?? null;
    },
    alias: async (alias) => {
      // The main thread knows of what is not in the tables yet by sessions and ids, not by aliases.
      await settle(null);
      return actorsOf(byAlias, alias)[0] ?? null;
    },
    labelled: async (kind, label, { after = '', limit }) => {
      // A change of label does not mention the old one.
      await settle(null);
      return actorsOf(byLabel, kind, label, after, pageLimit(limit));
    },
  };
};

const actorOf = (row: ActorRow): StoredActor => ({
  key: `${row.session}/${row.kind}/${row.id}`,
  session: row.session,
  kind: row.kind,
  id: row.id,
  state: row.state,
  done: row.done === 1,
  context: JSON.parse(row.context) as Record<string, unknown>,
});
