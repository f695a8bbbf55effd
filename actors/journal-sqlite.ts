import type { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { openAuditKey } from './audit-key.ts';
import { type Claim, type Journal, type OutMessage, StoreFailedError, type TurnText, type Verdict } from './journal.ts';
import { createApplier, type ShardProgress } from './sqlite-apply.ts';
import { createAuditLog, hasAudit } from './sqlite-audit.ts';
import { createCheckpointer } from './sqlite-checkpoint.ts';
import {
  checkPages,
  databaseFile,
  guarded,
  isDiskError,
  isSqliteError,
  lockDirectory,
  makeDirectory,
  openWriter,
  transact,
  walFile,
} from './sqlite-database.ts';
import { createSqliteKeys } from './sqlite-keys.ts';
import { createLoader } from './sqlite-load.ts';
import { createLogTail } from './sqlite-log.ts';
import { createPruner } from './sqlite-prune.ts';
import { latestTurn } from './sqlite-schema.ts';
import { createReserve } from './sqlite-reserve.ts';
import type { Settle } from './sqlite-event-reads.ts';
import { readsOver } from './sqlite-reads.ts';
import { judge, type ShardHead } from './journal-verdicts.ts';
import { scanWal } from './sqlite-wal.ts';
import { checkLog, openSyncedMark, type SyncedMark } from './synced-mark.ts';

/** How much of the log one `apply` moves, in UTF-16 units: what keeps its pause below about 10 ms. */
const CHUNK_TEXT = 262_144;
/** The same for a pause of about 2 ms. */
const LITTLE_TEXT = 32_768;
/** How many pages (4 KiB) gather in SQLite's log before they are moved into the file. */
const CHECKPOINT_PAGES = 512;
/**
 * From this length on the tables wait for a checkpoint where that hurts nobody: the log begins anew where all of it is in
 * the file and nothing was written meanwhile.
 */
const LONG_LOG_PAGES = 1_024;
/** From this length on it is made to begin anew, by a checkpoint of its last part while nobody can write. */
const LONGEST_LOG_PAGES = 8_192;
const LAST_PART = 1 / 128;

export interface SqliteJournalOptions {
  /** Made where it is missing. Holds `journal.db`, SQLite's files beside it, `journal.lock`, `journal.synced` and `audit.key`. */
  readonly directory: string;
  /** Hears what was found where it opens. */
  readonly onFound?: (found: FoundJournal) => void;
}

/** What a journal was found to be when it was opened. */
export interface FoundJournal {
  /** The tail of the log that a crash has torn, for people: never acknowledged, and cut. Null where it was whole. */
  readonly cut: string | null;
  /** When the last turn was taken, in milliseconds since the epoch; 0 for none. */
  readonly at: number;
}

/**
 * The journal in one SQLite file. Its calls block their thread while they touch the disk: it wants a thread of its own.
 * Rejects with `StoreFailedError` where another process has the directory, where the file is damaged or newer than
 * this release, where the audit has records and its key is gone, and where the disk takes no writes.
 *
 * Durability: commits, claims, keys and the audit are synced (`synchronous = FULL`). Applying is not: losing it to a
 * power cut only brings the log rows back that it had deleted, and whatever is synced later syncs it too.
 */
export const createSqliteJournal = async (options: SqliteJournalOptions): Promise<Journal> => {
  const { directory, onFound = () => {} } = options;
  makeDirectory(directory);
  using opened = new DisposableStack();
  const lock = lockDirectory(directory);
  opened.defer(lock.release);
  const cut = checkLog(directory);
  const mark = openSyncedMark(directory);
  opened.defer(mark.close);
  // Closing moves the log into the file, here and below.
  mark.clear();
  const db = openWriter(directory);
  opened.defer(() => db.close());
  const file = databaseFile(directory);
  return guarded(`the journal ${file} could not be read`, () => {
    checkPages(db, directory);
    const journal = serve(db, directory, mark, opened);
    onFound({ cut, at: latestTurn(db) });
    return journal;
  });
};

/** Takes over what is `opened`, where it does not throw. */
const serve = (db: DatabaseSync, directory: string, mark: SyncedMark, opened: DisposableStack): Journal => {
  const file = databaseFile(directory);
  const tail = createLogTail(db);
  const reserve = createReserve(directory);
  const auditKey = openAuditKey(directory, hasAudit(db));
  const audit = createAuditLog(db, auditKey);
  const applier = createApplier(db);
  const pruner = createPruner(db, auditKey);
  const load = createLoader(db);
  const listShards = db.prepare('SELECT shard, epoch, turn, read, sent FROM shards');
  const bumpEpoch = db.prepare(`
    INSERT INTO shards (shard, epoch, turn, read, sent) VALUES (?, 1, 0, '{}', '{}')
    ON CONFLICT (shard) DO UPDATE SET epoch = epoch + 1 RETURNING epoch`);
  const waiting = db.prepare(`
    SELECT session || '/' || kind || '/' || id AS key, waits FROM actors
    WHERE shard = ? AND done = 0 AND waits IS NOT NULL ORDER BY key`);
  const deadlines = db.prepare(`
    SELECT session || '/' || kind || '/' || id AS key, deadline FROM actors
    WHERE shard = ? AND done = 0 AND deadline IS NOT NULL AND deadline <= ?
      AND (deadline, session, kind, id) > (?, ?, ?, ?)
    ORDER BY deadline, session, kind, id LIMIT ?`);
  const senders = db.prepare('SELECT DISTINCT sender FROM outbox WHERE receiver = ? ORDER BY sender');
  const outbox = db.prepare(
    'SELECT n, key, text FROM outbox WHERE receiver = ? AND sender = ? AND n > ? ORDER BY n LIMIT ?',
  );
  const moveLog = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  const truncateLog = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)');
  const walState = db.prepare('PRAGMA wal_checkpoint(NOOP)');

  let open = true;
  let checkpointing = false;
  /** Set by a write that failed: what SQLite's log holds at its end is not trusted until {@link heal}. */
  let suspect = false;
  /** Set with it: the outcome of that write is unknown until what is mirrored here is read again. */
  let unread = false;
  /** The last epoch and turn of each shard, ahead of the tables by what the log holds. */
  const heads = new Map<number, ShardHead>();
  /** What the tables say of each shard. */
  const progress = new Map<number, ShardProgress>();

  const checkpointer = createCheckpointer(directory, (error) => {
    if (isSqliteError(error)) suspect = unread = true;
  });

  const readShards = (wanted?: ReadonlySet<number>): void => {
    for (const row of listShards.all() as unknown as ShardRow[]) {
      if (wanted !== undefined && !wanted.has(row.shard)) continue;
      heads.set(row.shard, { epoch: row.epoch, turn: row.turn });
      progress.set(row.shard, { turn: row.turn, read: JSON.parse(row.read), sent: JSON.parse(row.sent) });
    }
  };

  const checkOpen = (): void => {
    if (!open) throw new StoreFailedError(`the journal ${file} is closed`);
  };

  /**
   * After a failed write the end of SQLite's log may be on the disk or not, whatever its pages in memory say (a failed
   * fsync is not repeated by the kernel, which may also forget those pages and read old ones again). So what is committed
   * is checked, moved to the file, the log begins anew, and only then is anything written again.
   */
  const heal = (): void => {
    if (!suspect) return;
    // SQLite has one checkpoint at a time, and waits for none.
    if (checkpointer.isBusy) throw new StoreFailedError(`a checkpoint of ${file} is under way`);
    const { log } = walState.get() as { log: number };
    const whole = scanWal(walFile(directory))?.whole ?? 0;
    if (whole < log) throw new StoreFailedError(`${walFile(directory)} lost frame ${whole + 1} of ${log}`);
    mark.clear();
    const { busy } = truncateLog.get() as { busy: number };
    if (busy !== 0) throw new StoreFailedError(`the journal ${file} is being read and cannot be brought up`);
    readAgain();
    suspect = false;
  };
  const readAgain = (): void => {
    if (!unread) return;
    tail.reload();
    audit.reload();
    unread = false;
  };
  /** Runs what writes; where SQLite fails at it, the end of its log is not trusted any more. */
  const watched = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (isSqliteError(error)) suspect = unread = true;
      throw error;
    }
  };

  /** Runs what also a full disk must not stop; `again` at once after room was given up for it, as often as there is any. */
  const insist = <T>(work: () => T, again = work): T => {
    try {
      return watched(work);
    } catch (error) {
      if (!isDiskError(error) || !reserve.give()) throw error;
      return insist(again);
    }
  };

  const write = <T>(work: () => T): T => {
    checkOpen();
    return guarded(`the journal ${file} takes no writes`, () => {
      insist(heal);
      reserve.hold();
      const result = watched(work);
      mark.advance((walState.get() as { log: number }).log);
      return result;
    });
  };

  const read = <T>(work: () => T): T => {
    checkOpen();
    return guarded(`the journal ${file} could not be read`, work);
  };

  /** Whether it went well; where the disk refused it, the next write tries to heal, and says so when it cannot. */
  const attempt = (work: () => void): boolean => {
    try {
      watched(work);
      return true;
    } catch (error) {
      if (isDiskError(error)) return false;
      throw error;
    }
  };

  const moveChunk = (size: number): void => {
    // What is read has to be in the tables also while nothing can be made durable. They may be filled unhealed, since
    // that is not synced anyway; nothing else is written before it is healed.
    if (checkpointer.isBusy || !attempt(heal)) readAgain();
    const rows = tail.oldest(size);
    const lastId = rows.at(-1)?.id;
    if (lastId === undefined) return;
    db.exec('PRAGMA synchronous = NORMAL');
    try {
      const moved = transact(db, () => {
        const known = (shard: number) => progress.get(shard) ?? NO_PROGRESS;
        const result = applier.apply(rows, known);
        tail.remove(lastId);
        return result;
      });
      for (const [shard, next] of moved) progress.set(shard, next);
      tail.forget(lastId);
    } finally {
      db.exec('PRAGMA synchronous = FULL');
    }
  };

  const applyChunk = (size = CHUNK_TEXT): void =>
    guarded(`the log of ${file} could not be applied`, () => {
      insist(
        () => moveChunk(size),
        () => moveChunk(LITTLE_TEXT),
      );
    });

  /**
   * Has SQLite's log moved into the file where enough has gathered. Whether that is to go before a chunk: here, since
   * their pauses are not to add up (in turns, since a reader may hold a checkpoint back), or on its thread, where the
   * chunk can wait for it.
   */
  const checkpointed = (canWait: boolean): boolean => {
    const { log, checkpointed: moved } = read(() => walState.get()) as { log: number; checkpointed: number };
    if (!checkpointer.isBusy && !suspect) {
      const isLast = log > LONGEST_LOG_PAGES && log - moved < log * LAST_PART;
      checkpointing = isLast ? !checkpointing : log - moved > CHECKPOINT_PAGES && !checkpointer.begin();
      // A checkpoint begins with an fsync of what applying has not synced: where it fails, that is in doubt as well.
      if (checkpointing) guarded(`the journal ${file} takes no writes`, () => attempt(() => moveLog.get()));
      if (checkpointing) return true;
    }
    return canWait && checkpointer.isBusy && log > LONG_LOG_PAGES;
  };

  const applyUpTo = (lastId: number): void => {
    while (tail.holds(lastId)) applyChunk();
  };

  /** Commits go on between the chunks. */
  const settle: Settle = async (mention) => {
    checkOpen();
    const lastId = tail.lastMention(mention);
    while (tail.holds(lastId)) {
      applyChunk();
      if (tail.holds(lastId)) await setImmediate();
    }
  };

  const claimOf = (shard: number, epoch: number): Claim => {
    const rows = waiting.all(shard) as unknown as { key: string; waits: string }[];
    return {
      shard,
      epoch,
      ...(progress.get(shard) ?? NO_PROGRESS),
      waits: rows.map(({ key, waits }) => [key, waits] as const),
      senders: (senders.all(shard) as unknown as { sender: number }[]).map(({ sender }) => sender),
    };
  };

  tail.reload();
  audit.reload();
  readShards();
  applyUpTo(tail.lastMention(null));
  readShards();

  const owned = opened.move();
  return {
    claim: async (shards) => {
      checkOpen();
      applyUpTo(tail.lastMention(null));
      const epochs = write(() =>
        transact(db, () => shards.map((shard) => (bumpEpoch.get(shard) as { epoch: number }).epoch)),
      );
      return read(() => {
        readShards(new Set(shards));
        return shards.map((shard, index) => claimOf(shard, epochs[index] as number));
      });
    },
    commit: async (turns: readonly TurnText[]): Promise<readonly Verdict[]> => {
      checkOpen();
      const { verdicts, accepted, audit: entries, ahead } = judge(turns, heads);
      if (entries.length > 0) write(() => audit.append(entries, (insert) => tail.append(accepted, insert)));
      else if (accepted.length > 0) write(() => tail.append(accepted));
      for (const [shard, head] of ahead) heads.set(shard, head);
      return verdicts;
    },
    deadlines: async (shard, { after: [key, at], until, limit }) => {
      checkOpen();
      applyUpTo(tail.lastMention(null));
      const [session = '', kind = '', id = ''] = key.split('/');
      const rows = read(() => deadlines.all(shard, until, at, session, kind, id, limit)) as unknown as DeadlineRow[];
      return rows.map((row) => [row.key, row.deadline] as const);
    },
    load: async (session) => {
      checkOpen();
      applyUpTo(tail.lastMention(session));
      return read(() => load(session));
    },
    outbox: async (from, to, after, limit) => {
      checkOpen();
      applyUpTo(tail.lastMention(null));
      const rows = read(() => outbox.all(to, from, after, limit)) as unknown as OutMessage[];
      return rows.map(({ n, key, text }) => ({ n, key, text }));
    },
    note: async (entries) => {
      checkOpen();
      const texts = entries.map((entry) => JSON.stringify(entry));
      if (texts.length > 0) write(() => audit.append(texts, (insert) => transact(db, insert)));
    },
    apply: async (little = false) => {
      checkOpen();
      if (!checkpointed(little)) applyChunk(little ? LITTLE_TEXT : CHUNK_TEXT);
      return tail.size;
    },
    prune: async (limits) => {
      checkOpen();
      if (checkpointed(false)) {
        const { unlinked = [] } = limits;
        if (unlinked.length > 0) write(() => transact(db, () => pruner.unlinked(unlinked)));
        return { counts: { sessions: 0, actors: 0, events: 0, records: 0 }, unlink: [], more: true };
      }
      const isPending = (session: string): boolean => tail.holds(tail.lastMention(session));
      // Synced, unlike what `apply` does: files are removed once their rows are gone.
      return write(() => transact(db, () => pruner.prune(limits, isPending)));
    },
    reads: readsOver(db, file, auditKey, settle),
    keys: createSqliteKeys(db, audit, { read, write }),
    close: async () => {
      if (!open) return;
      open = false;
      await checkpointer.close();
      guarded(`the journal ${file} could not be closed`, () => {
        mark.clear();
        owned.dispose();
      });
    },
  };
};

const NO_PROGRESS: ShardProgress = { turn: 0, read: {}, sent: {} };

interface ShardRow {
  readonly shard: number;
  readonly epoch: number;
  readonly turn: number;
  readonly read: string;
  readonly sent: string;
}

interface DeadlineRow {
  readonly key: string;
  readonly deadline: number;
}
