import type { SessionId } from '../machines/id.ts';
import type { Run } from '../machines/effect.ts';
import type { ExecutionMessage } from '../machines/message.ts';

/** Where an execution lives, so that what its handler says finds the way back. */
export interface RunPlace {
  readonly session: SessionId;
}

/**
 * The Agents port: where handlers run. The ring hands it only committed effects; what it reports re-enters the ring as
 * messages to the execution's actor. Nothing here is durable: after a restart the ring asks again.
 */
export interface Agents {
  /** Keeps a place for an execution about to be accepted; false when it has to queue. Idempotent per execution. */
  reserve(execution: string): boolean;
  /** Gives back a place whose execution was not accepted after all. Idempotent. */
  release(execution: string): void;
  /** An execution waits for a place; `execution.start` is reported when there is one. */
  enqueue(execution: string, place: RunPlace, priority: number): void;
  /** Runs a handler once. */
  run(run: Run, place: RunPlace): void;
  /** Takes an execution out: from the queue, or from its thread, by signal first and then by force. */
  stop(execution: string, reason: 'cancelled' | 'timed_out'): void;
  /** Whether this start is waiting for a thread or running here: what a restarted shard need not ask for again. */
  has(execution: string, start: number): boolean;
  /** How many are waiting, reserved and running. */
  depth(): { readonly queued: number; readonly reserved: number; readonly running: number };
  /** Stops taking runs, waits up to `graceMs` for the running ones, ends the threads. */
  close(graceMs: number): Promise<void>;
}

/** How the pool reports. Returns when the message is in the ring's inbox, and `committed` when it is durable. */
export type Report = (
  execution: string,
  place: RunPlace,
  message: ExecutionMessage,
) => { readonly committed: Promise<void> };
