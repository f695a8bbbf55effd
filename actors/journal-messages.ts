import type { MessagePort } from 'node:worker_threads';
import type { AuditEntry } from '../machines/audit.ts';
import type { Answer, Effect } from '../machines/effect.ts';
import type { FoundJournal } from './journal-sqlite.ts';
import type {
  Claim,
  Deadline,
  DeadlinePage,
  Loaded,
  OutMessage,
  Pruned,
  PruneLimits,
  StoredKey,
  TurnText,
} from './journal.ts';

/** What leaves with a turn once it is committed and is worth nothing after a crash (ring, rule 5). */
export interface Release {
  readonly replies: readonly (readonly [request: string, answer: Answer])[];
  /** For the agent pool and the connections, with the session each is about. */
  readonly effects: readonly (readonly [session: string, effect: ReleasedEffect])[];
  /** Numbers of inputs read, per sender, as in the turn's header. */
  readonly tookMs: number;
  readonly inputs: number;
}

export type ReleasedEffect = Extract<Effect, { type: 'enqueue' | 'run' | 'stop' | 'cut' | 'deliver' | 'webhook' }>;

/** Shard worker to journal thread. */
export type JournalInput =
  | { readonly type: 'claim'; readonly shards: readonly number[] }
  | { readonly type: 'turn'; readonly turn: TurnText; readonly release: Release }
  | { readonly type: 'load'; readonly shard: number; readonly epoch: number; readonly session: string }
  | { readonly type: 'deadlines'; readonly shard: number; readonly epoch: number; readonly page: DeadlinePage };

/** Journal thread to shard worker. */
export type JournalOutput =
  | { readonly type: 'claimed'; readonly claims: readonly Claim[] }
  | { readonly type: 'unclaimed'; readonly shards: readonly number[] }
  | { readonly type: 'loaded'; readonly shard: number; readonly epoch: number; readonly loaded: Loaded }
  | {
      readonly type: 'deadlines';
      readonly shard: number;
      readonly epoch: number;
      readonly deadlines: readonly Deadline[];
    }
  /** The epoch is closed: its memory may be ahead of the disk (ring, rule 9). */
  | { readonly type: 'closed'; readonly shard: number; readonly epoch: number };

/** Main thread to journal thread. `call` is answered by `answer` with the same id. */
export type JournalCommand =
  | { readonly type: 'worker'; readonly port: MessagePort }
  | { readonly type: 'call'; readonly id: number; readonly call: JournalCall };

export type JournalCall =
  | { readonly type: 'settle' }
  | {
      readonly type: 'outbox';
      readonly from: number;
      readonly to: number;
      readonly after: number;
      readonly limit: number;
    }
  | { readonly type: 'keys' }
  | { readonly type: 'key'; readonly id: string }
  | { readonly type: 'put-key'; readonly key: StoredKey; readonly entry?: AuditEntry }
  | { readonly type: 'note'; readonly entries: readonly AuditEntry[] }
  | { readonly type: 'prune'; readonly limits: PruneLimits }
  | { readonly type: 'close' };

/** What each call is answered with. */
export interface JournalAnswers {
  /** The group up to which the tables follow the log. */
  readonly settle: number;
  readonly outbox: readonly OutMessage[];
  readonly keys: readonly StoredKey[];
  readonly key: StoredKey | null;
  readonly 'put-key': null;
  readonly note: null;
  readonly prune: Pruned;
  readonly close: null;
}

/** Journal thread to main thread, in commit order. */
export type JournalNotice =
  /** The store is open. */
  | { readonly type: 'ready'; readonly found: FoundJournal }
  | {
      readonly type: 'released';
      /** Number of the group, from 1 in a process; they and those in doubt are counted together, densely. */
      readonly group: number;
      readonly texts: readonly string[];
      readonly releases: readonly Release[];
      readonly commitMs: number;
    }
  /** Turns whose commit failed: they may be durable, which the next claim of their shard shows. */
  | { readonly type: 'doubtful'; readonly group: number; readonly texts: readonly string[] }
  | { readonly type: 'claimed'; readonly claims: readonly Claim[] }
  /** The tables follow the log up to this group, by themselves. */
  | { readonly type: 'settled'; readonly group: number }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'recovered' }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'refused'; readonly id: number; readonly message: string };

/** What the journal thread is started with. */
export interface JournalThreadData {
  /** Where the database lives. */
  readonly directory: string;
  /**
   * One 32-bit number: the group that was let go, or came to be in doubt, last, for who reads the tables before the news
   * of it has come.
   */
  readonly committed: SharedArrayBuffer;
}
