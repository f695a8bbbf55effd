import type { Waiting } from './agent-queue.ts';

/** How long a place is kept for whom it was promised to. */
const TTL_MS = 10_000;

/**
 * Promised places: reservations of executions that are about to be accepted, and offers to those that have left the
 * queue. Both become runs or expire.
 */
export interface AgentPlaces {
  reserve(execution: string, now: number): void;
  offer(waiting: Waiting, now: number): void;
  has(execution: string): boolean;
  isOffered(execution: string): boolean;
  /** The sessions to which a place is offered. */
  sessions(): ReadonlySet<string>;
  /** The place is used or given back. */
  clear(execution: string): boolean;
  /** Forgets what has expired; the offers among them, for the queue to take again: their execution may still wait. */
  expire(now: number): Waiting[];
  size(): number;
}

interface Promised {
  readonly until: number;
  readonly waiting: Waiting | null;
}

export const createAgentPlaces = (): AgentPlaces => {
  /** In the order in which they expire. */
  const promised = new Map<string, Promised>();
  const keep = (execution: string, waiting: Waiting | null, now: number): void => {
    promised.delete(execution);
    promised.set(execution, { until: now + TTL_MS, waiting });
  };
  return {
    reserve: (execution, now) => keep(execution, null, now),
    offer: (waiting, now) => keep(waiting.execution, waiting, now),
    has: (execution) => promised.has(execution),
    isOffered: (execution) => (promised.get(execution)?.waiting ?? null) !== null,
    sessions: () => new Set([...promised.values()].flatMap(({ waiting }) => waiting?.place.session ?? [])),
    clear: (execution) => promised.delete(execution),
    expire: (now) => {
      const expired: Waiting[] = [];
      for (const [execution, { until, waiting }] of promised) {
        if (until > now) break;
        promised.delete(execution);
        if (waiting !== null) expired.push(waiting);
      }
      return expired;
    },
    size: () => promised.size,
  };
};
