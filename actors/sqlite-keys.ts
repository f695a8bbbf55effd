import type { DatabaseSync } from 'node:sqlite';
import type { KeyStore, StoredKey } from './journal.ts';
import type { AuditLog } from './sqlite-audit.ts';
import { transact } from './sqlite-database.ts';

type KeyRow = Omit<StoredKey, 'operator'> & { readonly operator: number };

/** The principals' keys. `run` wraps each access: it reports errors, and makes writes durable. */
export const createSqliteKeys = (
  db: DatabaseSync,
  audit: AuditLog,
  run: { read: <T>(work: () => T) => T; write: <T>(work: () => T) => T },
): KeyStore => {
  const columns = 'id, principal, operator, hash, created_at, revoked_at';
  const list = db.prepare(`SELECT ${columns} FROM keys ORDER BY id`);
  const find = db.prepare(`SELECT ${columns} FROM keys WHERE id = ?`);
  const put = db.prepare(`INSERT OR REPLACE INTO keys (${columns}) VALUES (?, ?, ?, ?, ?, ?)`);
  return {
    list: async () => run.read(() => (list.all() as unknown as KeyRow[]).map(keyOf)),
    find: async (id) =>
      run.read(() => {
        const row = find.get(id) as unknown as KeyRow | undefined;
        return row === undefined ? null : keyOf(row);
      }),
    put: async (key, entry) => {
      const operator = key.operator ? 1 : 0;
      const store = (): void => void put.run(key.id, key.principal, operator, key.hash, key.created_at, key.revoked_at);
      if (entry === undefined) return run.write(store);
      const record = JSON.stringify(entry);
      run.write(() =>
        audit.append([record], (insert) =>
          transact(db, () => {
            store();
            insert();
          }),
        ),
      );
    },
  };
};

const keyOf = (row: KeyRow): StoredKey => ({ ...row, operator: row.operator === 1 });
