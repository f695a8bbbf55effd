import type { Answer } from '../machines/effect.ts';
import { problem, type Problem } from '../machines/error.ts';

/** Who waits for which reply. Every wait ends: with the answer, or with a problem at its deadline. */
export interface Asks {
  /** Registers a wait; the promise never rejects. A second wait under the same id gets the same answer. */
  wait(request: string, deadlineMs: number): Promise<Answer>;
  /** Answers everybody who waits for this request; nobody is fine. */
  answer(request: string, answer: Answer): void;
  refuse(request: string, refusal: Problem): void;
  /** Refuses all that wait. */
  refuseAll(refusal: Problem): void;
  readonly size: () => number;
}

interface Waiter {
  readonly resolve: (answer: Answer) => void;
  readonly timer: NodeJS.Timeout;
}

export const createAsks = (): Asks => {
  const waiters = new Map<string, Waiter[]>();

  const answer = (request: string, given: Answer): void => {
    const waiting = waiters.get(request);
    if (waiting === undefined) return;
    waiters.delete(request);
    for (const { resolve, timer } of waiting) {
      clearTimeout(timer);
      resolve(given);
    }
  };
  const refuse = (request: string, refusal: Problem): void => answer(request, { ok: false, problem: refusal });

  return {
    wait: (request, deadlineMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(
          () => refuse(request, problem('timed_out', `no answer within ${deadlineMs} ms`, { retry_after: 1 })),
          deadlineMs,
        );
        const waiter = { resolve, timer };
        const others = waiters.get(request);
        if (others === undefined) waiters.set(request, [waiter]);
        else others.push(waiter);
      }),
    answer,
    refuse,
    refuseAll: (refusal) => {
      for (const request of [...waiters.keys()]) refuse(request, refusal);
    },
    size: () => waiters.size,
  };
};
