import type { System } from '../../actors/system.ts';
import { isOutcomeEvent, isTerminalEvent } from '../../machines/event.ts';

/** Somebody who waits for the end of an execution, or for the outcome of a question. */
export interface Waiter {
  /** The event that says so, as JSON; null at the deadline, on `signal`, and where it was cancelled. */
  ended(ms: number, signal: AbortSignal): Promise<string | null>;
  /** Gives up; needed where `ended` is not called. Idempotent. */
  cancel(): void;
}

export interface Waits {
  /** Watches from now on: open it before reading whether the execution has ended, so that no end is missed. */
  open(execution: string): Waiter;
  /** How many wait. */
  count(): number;
  /** Lets everybody go; who comes later does not wait. */
  close(): void;
}

/** One listener for all waiters, whatever their number. */
export const createWaits = (system: Pick<System, 'onEvent'>): Waits => {
  const pending = new Map<string, Set<(json: string | null) => void>>();
  let closed = false;

  const unlisten = system.onEvent(({ type, subject, json }) => {
    if (pending.size === 0 || !(isTerminalEvent(type) || isOutcomeEvent(type))) return;
    for (const finish of pending.get(subject) ?? []) finish(json);
  });

  return {
    open: (execution) => {
      const { promise, resolve } = Promise.withResolvers<string | null>();
      const finish = (json: string | null): void => {
        const waiters = pending.get(execution);
        waiters?.delete(finish);
        if (waiters?.size === 0) pending.delete(execution);
        resolve(json);
      };
      const cancel = (): void => finish(null);
      if (closed) cancel();
      else pending.set(execution, (pending.get(execution) ?? new Set()).add(finish));
      return {
        ended: async (ms, signal) => {
          if (signal.aborted) cancel();
          const timer = setTimeout(cancel, ms);
          signal.addEventListener('abort', cancel, { once: true });
          try {
            return await promise;
          } finally {
            clearTimeout(timer);
            signal.removeEventListener('abort', cancel);
          }
        },
        cancel,
      };
    },
    count: () => [...pending.values()].reduce((sum, waiters) => sum + waiters.size, 0),
    close: () => {
      closed = true;
      unlisten();
      for (const waiters of pending.values()) for (const finish of waiters) finish(null);
    },
  };
};
