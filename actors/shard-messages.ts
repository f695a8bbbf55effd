import type { MessagePort } from 'node:worker_threads';

/** What a shard worker is started with: the data of its Piscina task. */
export interface ShardTask {
  readonly worker: number;
  /** To and from the main thread. */
  readonly main: MessagePort;
  /** To and from the journal thread. */
  readonly journal: MessagePort;
  /** Wall minus monotonic time, see `anchoredClock`. */
  readonly clockAnchor: number;
  /** Module that exports the `catalogue` of machines. */
  readonly catalogue: string;
  readonly limits: ShardLimits;
  /** Two doubles: the shard and the number of the input that is being taken, for who finds this thread dead. */
  readonly taking: SharedArrayBuffer;
}

export interface ShardLimits {
  /** Inputs of one turn; default 256. */
  readonly turnInputs: number;
  /** Messages that one input may cause within its turn before it has failed; default 10,000. */
  readonly turnMessages: number;
  /** Sessions held in memory by a worker; the longest untouched sleep first. Default 2,000. */
  readonly residentSessions: number;
  /** How far ahead a shard holds deadlines in memory; what lies beyond comes from the journal. Default 600,000 ms. */
  readonly horizonMs: number;
  /** Deadlines that one look into the journal brings; a shard holds about twice as many. Default 1,024. */
  readonly deadlineWindow: number;
  /** An actor that throws more often than `maxRestarts` within `maxSeconds` has failed. Defaults 3 in 5 s. */
  readonly maxRestarts: number;
  readonly maxSeconds: number;
}

export const SHARD_LIMITS: ShardLimits = {
  turnInputs: 256,
  turnMessages: 10_000,
  residentSessions: 2_000,
  horizonMs: 600_000,
  deadlineWindow: 1_024,
  maxRestarts: 3,
  maxSeconds: 5,
};

/** One message for an actor of a shard, numbered densely per sender (ring, rule 3). `text` is an envelope's JSON. */
export type Input = readonly [shard: number, epoch: number, sender: string, n: number, key: string, text: string];

/** Main thread to shard worker. */
export type ShardInput =
  | { readonly type: 'own'; readonly shards: readonly number[] }
  | { readonly type: 'inputs'; readonly inputs: readonly Input[] }
  | { readonly type: 'ping'; readonly id: number };

/** Shard worker to main thread. */
export type ShardOutput =
  | {
      readonly type: 'pong';
      readonly id: number;
      readonly sessions: number;
      readonly actors: number;
      readonly heapMb: number;
    }
  | { readonly type: 'gap'; readonly shard: number; readonly epoch: number; readonly sender: string };
