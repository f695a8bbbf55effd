import type { RunPlace } from './agents.ts';

/** Values by key, first in, first out; any can be taken out from the middle. */
interface Fifo<Value> {
  push(key: string, value: Value): void;
  get(key: string): Value | undefined;
  delete(key: string): void;
  first(): [string, Value] | undefined;
  all(): Iterable<[string, Value]>;
  readonly size: () => number;
}

/** A Map whose front is found by one iterator that lives on: a new one would walk over all that was deleted before. */
const createFifo = <Value>(): Fifo<Value> => {
  const entries = new Map<string, Value>();
  let front = entries.entries();
  let head: [string, Value] | undefined;
  return {
    push: (key, value) => void entries.set(key, value),
    get: (key) => entries.get(key),
    delete: (key) => {
      if (head?.[0] === key) head = undefined;
      entries.delete(key);
    },
    first: () => {
      if (head !== undefined || entries.size === 0) return head;
      let next = front.next();
      if (next.done === true) {
        front = entries.entries();
        next = front.next();
      }
      head = next.value;
      return head;
    },
    all: () => entries,
    size: () => entries.size,
  };
};

export interface Waiting {
  readonly execution: string;
  readonly place: RunPlace;
  readonly priority: number;
}

/** Executions that wait for a place. */
export interface AgentQueue {
  /** Idempotent per execution. */
  add(waiting: Waiting): void;
  remove(execution: string): boolean;
  /**
   * The highest priority first; within it the sessions in turn; within a session the longest waiting. Every eighth goes to
   * one of the lower priorities, the one that has waited longest for its turn: so none waits for ever, whatever anybody
   * puts before it, and a higher one still gets seven of eight.
   */
  take(): Waiting | null;
  /** The same without turns: the first in line whose session this picks. */
  takeWhere(picks: (session: string) => boolean): Waiting | null;
  size(): number;
}

/** Those who wait at one priority. */
interface Level {
  readonly sessions: Fifo<Fifo<Waiting>>;
  /** The take that it had last, or began to wait at. */
  served: number;
}

/** One take in so many is a lower priority's. */
const LOWER_EVERY = 8;

export const createAgentQueue = (): AgentQueue => {
  const byExecution = new Map<string, Waiting>();
  const levels = new Map<number, Level>();
  let takes = 0;
  /** Priorities that have somebody waiting, the highest first. */
  let order: number[] = [];

  const forget = ({ execution, place: { session }, priority }: Waiting): void => {
    byExecution.delete(execution);
    const sessions = levels.get(priority)?.sessions;
    const own = sessions?.get(session);
    if (sessions === undefined || own === undefined) return;
    own.delete(execution);
    if (own.size() > 0) return;
    sessions.delete(session);
    if (sessions.size() > 0) return;
    levels.delete(priority);
    order = order.filter((each) => each !== priority);
  };

  const nextLevel = (): Level | undefined => {
    const highest = order[0] === undefined ? undefined : levels.get(order[0]);
    if ((takes + 1) % LOWER_EVERY !== 0 || order.length < 2) return highest;
    return order
      .slice(1)
      .flatMap((each) => levels.get(each) ?? [])
      .toSorted((a, b) => a.served - b.served)[0];
  };

  return {
    add: (waiting) => {
      const {
        execution,
        place: { session },
        priority,
      } = waiting;
      if (byExecution.has(execution)) return;
      byExecution.set(execution, waiting);
      let level = levels.get(priority);
      if (level === undefined) {
        level = { sessions: createFifo(), served: takes };
        levels.set(priority, level);
        order = [...order, priority].toSorted((a, b) => b - a);
      }
      let own = level.sessions.get(session);
      if (own === undefined) {
        own = createFifo();
        level.sessions.push(session, own);
      }
      own.push(execution, waiting);
    },
    remove: (execution) => {
      const waiting = byExecution.get(execution);
      if (waiting !== undefined) forget(waiting);
      return waiting !== undefined;
    },
    take: () => {
      const level = nextLevel();
      const turn = level?.sessions.first();
      const first = turn?.[1].first();
      if (level === undefined || turn === undefined || first === undefined) return null;
      takes += 1;
      level.served = takes;
      const { sessions } = level;
      const [session, own] = turn;
      forget(first[1]);
      if (own.size() > 0) {
        sessions.delete(session);
        sessions.push(session, own);
      }
      return first[1];
    },
    takeWhere: (picks) => {
      for (const priority of order)
        for (const [session, own] of levels.get(priority)?.sessions.all() ?? []) {
          const first = picks(session) ? own.first() : undefined;
          if (first === undefined) continue;
          forget(first[1]);
          return first[1];
        }
      return null;
    },
    size: () => byExecution.size,
  };
};
