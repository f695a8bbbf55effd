import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreFailedError } from './journal.ts';
import { migrate, MIGRATIONS, schemaOf } from './sqlite-schema.ts';

/** How long a lock that another connection of this process holds for a moment is waited for. */
const BUSY_TIMEOUT_MS = 2_000;
/** Enough that a chunk never spills to the disk before its commit. */
const CACHE_KIB = 65_536;
/** Where commits begin to checkpoint by themselves; only reached when nobody calls `apply`. */
const BACKSTOP_PAGES = 32_768;

/** The cache while all pages are looked at once. */
const CHECKING_KIB = 1_024;

/** Up to this size the pages are looked at when it is opened: about 1 ms a MiB. */
const CHECKED_BYTES = 256 * 1_048_576;

export const databaseFile = (directory: string): string => path.join(directory, 'journal.db');

/** SQLite's log beside it. */
export const walFile = (directory: string): string => `${databaseFile(directory)}-wal`;

const storeFailed = (what: string, cause: unknown): StoreFailedError =>
  new StoreFailedError(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });

/** Runs `work` and makes whatever it throws a `StoreFailedError` that says what failed. */
export const guarded = <T>(what: string, work: () => T): T => {
  try {
    return work();
  } catch (cause) {
    throw cause instanceof StoreFailedError ? cause : storeFailed(what, cause);
  }
};

export const isSqliteError = (error: unknown): error is Error & { readonly errcode: number } =>
  error instanceof Error && 'errcode' in error;

/** Whether the disk refused: SQLITE_IOERR and SQLITE_FULL with their extended codes, and what Node calls the same. */
export const isDiskError = (error: unknown): boolean => {
  if (isSqliteError(error)) return [10, 13].includes(error.errcode & 0xff);
  return error instanceof Error && ['EIO', 'ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
};

/**
 * Runs `work` as one transaction; nothing of it is left when it throws. An error out of COMMIT itself leaves the
 * outcome open until the database is read again.
 */
export const transact = <T>(db: DatabaseSync, work: () => T): T => {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite has already rolled back after some errors (a full disk among them).
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
};

/** Opens the one connection that writes, and makes the directory, the file and its tables where they are missing. */
export const openWriter = (directory: string): DatabaseSync => {
  const file = databaseFile(directory);
  return guarded(`the journal ${file} could not be opened`, () => {
    // Hashes of tokens and everybody's data: for the owner alone. SQLite gives the files beside it the same mode.
    closeSync(openSync(file, 'a', 0o600));
    const db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: false });
    try {
      db.exec('PRAGMA journal_mode = WAL');
      db.exec('PRAGMA synchronous = FULL');
      db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
      db.exec(`PRAGMA wal_autocheckpoint = ${BACKSTOP_PAGES}`);
      migrate(db);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
};

/**
 * Looks whether the pages of the database hang together, where that takes no longer than about half a second. Throws a
 * `StoreFailedError` that names the page. SQLite's pages carry no checksums: what is only changed text is not found.
 */
export const checkPages = (db: DatabaseSync, directory: string): void => {
  const file = databaseFile(directory);
  if (statSync(file).size > CHECKED_BYTES) return;
  // All of the file goes through the cache, and what that has once held the allocator keeps.
  db.exec(`PRAGMA cache_size = -${CHECKING_KIB}`);
  const { quick_check: said } = db.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
  db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
  if (said !== 'ok') throw new StoreFailedError(`${file} is damaged: ${said.replaceAll(/\s+/g, ' ')}`);
};

/** Opens a connection that only reads, beside the writer of the same process. */
export const openReader = (directory: string): DatabaseSync => {
  const file = databaseFile(directory);
  return guarded(`the journal ${file} could not be opened for reading`, () => {
    const db = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    const schema = schemaOf(db);
    if (schema === MIGRATIONS.length) return db;
    db.close();
    throw new RangeError(`its schema is ${schema}, expected ${MIGRATIONS.length}`);
  });
};

/** Opens a connection that only moves the log into the file, beside the writer of the same process. */
export const openCheckpointer = (directory: string): DatabaseSync => {
  const db = new DatabaseSync(databaseFile(directory), { timeout: BUSY_TIMEOUT_MS });
  db.exec('PRAGMA synchronous = FULL');
  return db;
};

/** Makes durable which files a directory has. */
export const syncDirectory = (directory: string): void => {
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
};

/** Makes a directory durable in its parent: a file synced inside a directory that is lost is lost too. */
export const makeDirectory = (directory: string): void => {
  guarded(`the directory ${directory} could not be made`, () => {
    if (mkdirSync(directory, { recursive: true, mode: 0o700 }) === undefined) return;
    syncDirectory(path.dirname(path.resolve(directory)));
  });
};

/**
 * Takes the directory for this journal alone. The lock is SQLite's own on a file beside the journal, so it ends with
 * the process however that ends, and holds within a process as well. The journal's file cannot carry it: reads need a
 * second connection there.
 */
export const lockDirectory = (directory: string): { release(): void } => {
  const lock = guarded(`the lock in ${directory} could not be opened`, () => {
    return new DatabaseSync(path.join(directory, 'journal.lock'), { timeout: 0 });
  });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    throw new StoreFailedError(`${directory} is in use by another process, or cannot be locked`, { cause });
  }
  return {
    release: () => {
      if (lock.isOpen) lock.close();
    },
  };
};
