import type { PrunedCounts } from './journal.ts';

/** What the runtime tells whoever measures and logs it. None of it steers anything. */
export interface Observer {
  /** A turn was committed: how long its shard took, and for how many inputs. */
  turn(tookMs: number, inputs: number): void;
  /** A group was committed: how long, how many turns, how many characters of log. */
  commit(tookMs: number, turns: number, size: number): void;
  /** Something supervised was started again. */
  restarted(what: 'actor' | 'shard_worker' | 'shard_pool', reason: string): void;
  /** Something supervised was given up. */
  failed(what: 'actor' | 'shard_worker', reason: string): void;
  /** What a shard worker holds in memory, at each heartbeat. */
  resident(worker: number, sessions: number, actors: number): void;
  /** The store began or ceased to take writes. */
  store(state: 'failed' | 'recovered', detail: string): void;
  /** A crash had torn the end of the store's log; what was cut was never acknowledged. */
  cut(what: string): void;
  /** The wall is so many milliseconds behind the last time that was recorded: the process goes on from there. */
  clockBehind(ms: number): void;
  /** What was too old was removed. */
  pruned(counts: PrunedCounts): void;
  /** Something went wrong that nobody waits for. */
  error(what: string, error: unknown): void;
}

export const SILENT: Observer = {
  turn: () => {},
  commit: () => {},
  restarted: () => {},
  failed: () => {},
  resident: () => {},
  store: () => {},
  cut: () => {},
  clockBehind: () => {},
  pruned: () => {},
  error: () => {},
};
