import type { AuditEntry } from '../machines/audit.ts';
import type { Reads } from './reads.ts';

/**
 * The Journal port: the only door to the disk. One contract suite (`test/contract/journal.ts`) runs on every adapter.
 * Calls are served in the order in which they are made.
 */
export interface Journal {
  /**
   * Takes shards: each epoch grows by one, durably, before this resolves, and turns of older epochs are refused from
   * then on (ring, rules 1 and 6). Rejects with `StoreFailedError`.
   */
  claim(shards: readonly number[]): Promise<readonly Claim[]>;
  /**
   * Makes a group of turns durable as one transaction and one fsync. The answer has one verdict a turn, in order: a
   * refused turn leaves no trace, and the audit of an accepted one is durable with it. Rejects with `StoreFailedError` when nothing of the group is durable or its outcome
   * is unknown.
   */
  commit(turns: readonly TurnText[]): Promise<readonly Verdict[]>;
  /**
   * Deadlines of a shard's live actors within a page, in order of time, then of key. Sees every turn committed before the
   * call.
   */
  deadlines(shard: number, page: DeadlinePage): Promise<readonly Deadline[]>;
  /** What a session's actors need to wake: see {@link Loaded}. Sees every turn committed before the call. */
  load(session: string): Promise<Loaded>;
  /** Messages from one shard to another after `after`, at most `limit`, in order. */
  outbox(from: number, to: number, after: number, limit: number): Promise<readonly OutMessage[]>;
  /**
   * Records in the audit what no turn decides; durable when it resolves. Rejects with `StoreFailedError` where none of
   * the entries is, or where that is unknown.
   */
  note(entries: readonly AuditEntry[]): Promise<void>;
  /**
   * Moves a bounded part of the log into the tables (architecture, "Log first, tables follow"); resolves with what
   * remains, in UTF-16 units of its text. The caller decides when, and whether it takes as much as a pause of about 10 ms
   * allows, or `little`: what a single call that comes meanwhile does not notice.
   */
  apply(little?: boolean): Promise<number>;
  /**
   * Removes a bounded part of what is older than retention (contract, section 2); the caller goes on while there is
   * `more`. It knows no clock. Nothing alive is touched, and no session that something alive belongs to is removed. Of a
   * session's events only the head goes, so what is left stays dense. Rejects with `StoreFailedError`.
   */
  prune(limits: PruneLimits): Promise<Pruned>;
  readonly reads: Reads;
  readonly keys: KeyStore;
  close(): Promise<void>;
}

/** A turn as its shard wrote it; `text` is what `encodeTurn` makes and is not looked into on the hot path. */
export interface TurnText {
  readonly shard: number;
  readonly epoch: number;
  readonly turn: number;
  readonly text: string;
  /**
   * Entries of the audit, each as JSON; absent where there are none. They travel beside the text because their chain is
   * made at the commit, by the one writer of the journal.
   */
  readonly audit?: readonly string[];
}

export type Verdict = 'committed' | 'fenced' | 'gap';

export interface Claim {
  readonly shard: number;
  readonly epoch: number;
  /** The last turn committed; the next is one more. */
  readonly turn: number;
  /** How far each sender has been read. */
  readonly read: Readonly<Record<string, number>>;
  /** The last number given to a message to each other shard. */
  readonly sent: Readonly<Record<string, number>>;
  /** `[actor key, what it waits for]` of each live actor that waits for something outside the ring. */
  readonly waits: readonly (readonly [key: string, waits: string])[];
  /** Shards whose outbox holds something for this one. */
  readonly senders: readonly number[];
}

/** What an actor waits for by itself: the time in milliseconds since the epoch at which it wants a `deadline` message. */
export type Deadline = readonly [key: string, at: number];

export interface DeadlinePage {
  /** The place in the order that the page begins behind; no actor has to stand there. */
  readonly after: Deadline;
  /** The last time that belongs to it, in milliseconds since the epoch. */
  readonly until: number;
  readonly limit: number;
}

export interface Loaded {
  readonly session: string;
  /** The last `seq` given; 0 where the session is unknown. */
  readonly seq: number;
  /** The session's actors that have not ended, and the session's own actor even where it has. */
  readonly actors: readonly LoadedActor[];
  /** The newest remembered answers, oldest first, at most `REMEMBERED_LIMIT`. */
  readonly remembered: readonly (readonly [key: string, json: string])[];
}

export interface LoadedActor {
  readonly key: string;
  readonly version: number;
  readonly state: string;
  readonly done: boolean;
  /** JSON. */
  readonly context: string;
}

export interface OutMessage {
  readonly n: number;
  readonly key: string;
  /** The envelope as JSON. */
  readonly text: string;
}

/** All times in ms since the epoch. */
export interface PruneLimits {
  /**
   * Sessions that had ended by then, and of which nothing newer is known, go with all that is theirs; of the others their ended actors, their events and their
   * remembered answers from then and before.
   */
  readonly before: number;
  /** Records of the audit from then and before go, and a checkpoint takes their place. */
  readonly auditBefore: number;
  /** Executions named in `unlink` whose artifacts are gone since. */
  readonly unlinked?: readonly string[];
}

/** What a pruning comes to. */
export interface PrunedCounts {
  readonly sessions: number;
  /** Ended actors, sessions' own included. */
  readonly actors: number;
  readonly events: number;
  /** Records of the audit. */
  readonly records: number;
}

export interface Pruned {
  readonly counts: PrunedCounts;
  /**
   * Executions that are no more, durably, and whose artifacts are to be removed. They are named again and again, also
   * after a restart, until `unlinked` says that it is done.
   */
  readonly unlink: readonly string[];
  /** False where this call has found nothing to do. */
  readonly more: boolean;
}

/** How many answers a session remembers (ring, rule 8). */
export const REMEMBERED_LIMIT = 10_000;

/** Principals and their API keys; only hashes are kept. */
export interface KeyStore {
  list(): Promise<readonly StoredKey[]>;
  find(id: string): Promise<StoredKey | null>;
  /** Durable when it resolves, together with its entry in the audit where one is given. */
  put(key: StoredKey, entry?: AuditEntry): Promise<void>;
}

export interface StoredKey {
  readonly id: string;
  readonly principal: string;
  readonly operator: boolean;
  /** SHA-256 of the whole key, hexadecimal. */
  readonly hash: string;
  readonly created_at: number;
  readonly revoked_at: number | null;
}

/** The store takes no writes; what was asked is not durable as far as is known. */
export class StoreFailedError extends Error {
  readonly code = 'ERR_STORE_FAILED';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreFailedError';
  }
}
