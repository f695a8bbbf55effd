import type { RunPlace } from './agents.ts';

/** Values by key, first in, first out; any can be taken out from the middle. */
interface Fifo<Value> {
  push(key: string, value: Value): void;
  get(key: string): Value | undefined;
  delete(key: string): void;
  first(): [string, Value] | undefined;
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
  /** The highest priority first; within it the sessions in turn; within a session the longest waiting. */
  take(): Waiting | null;
  size(): number;
}

type Sessions = Fifo<Fifo<Waiting>>;

export const createAgentQueue = (): AgentQueue => {
  const byExecution = new Map<string, Waiting>();
  const levels = new Map<number, Sessions>();
  /** Priorities that have somebody waiting, the highest first. */
  let order: number[] = [];

  const forget = ({ execution, place: { session }, priority }: Waiting): void => {
    byExecution.delete(execution);
    const sessions = levels.get(priority);
    const own = sessions?.get(session);
    if (sessions === undefined || own === undefined) return;
    own.delete(execution);
    if (own.size() > 0) return;
    sessions.delete(session);
    if (sessions.size() > 0) return;
    levels.delete(priority);
    order = order.filter((each) => each !== priority);
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
      let sessions = levels.get(priority);
      if (sessions === undefined) {
        sessions = createFifo();
        levels.set(priority, sessions);
        order = [...order, priority].toSorted((a, b) => b - a);
      }
      let own = sessions.get(session);
      if (own === undefined) {
        own = createFifo();
        sessions.push(session, own);
      }
      own.push(execution, waiting);
    },
    remove: (execution) => {
      const waiting = byExecution.get(execution);
      if (waiting !== undefined) forget(waiting);
      return waiting !== undefined;
    },
    take: () => {
      const sessions = order[0] === undefined ? undefined : levels.get(order[0]);
      const turn = sessions?.first();
      const first = turn?.[1].first();
      if (sessions === undefined || turn === undefined || first === undefined) return null;
      const [session, own] = turn;
      forget(first[1]);
      if (own.size() > 0) {
        sessions.delete(session);
        sessions.push(session, own);
      }
      return first[1];
    },
    size: () => byExecution.size,
  };
};
