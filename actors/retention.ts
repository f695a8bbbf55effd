import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';
import type { Observer } from './observer.ts';

export interface RetentionOptions {
  readonly prune: Journal['prune'];
  /** Removes all artifacts of an execution; nothing where there are none. Rejects where they cannot be removed. */
  readonly removeArtifacts: (execution: string) => Promise<void>;
  /** How long what has ended is kept, and how long the audit; milliseconds. */
  readonly retentionMs: number;
  readonly auditRetentionMs: number;
  readonly clock: Clock;
  /** Milliseconds, for measuring only. */
  readonly stopwatch: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Whether the store takes writes and nothing ends: no pass begins or goes on otherwise. */
  readonly isReady: () => boolean;
  /** Calls a task once after so many milliseconds; answers the way to call it off. */
  readonly later: (task: () => void, delayMs: number) => () => void;
  readonly observer: Pick<Observer, 'pruned' | 'error'>;
}

export interface Retention {
  /** Ends after the call that is under way; idempotent. */
  close(): Promise<void>;
}

/** Between two passes: a tenth of the shorter retention, within these. */
const SHORTEST_MS = 1_000;
const LONGEST_MS = 3_600_000;
const SHARE = 10;
/** How soon after the start the first pass comes, and another after one that failed. */
const SOON_MS = 60_000;

/**
 * Removes what is older than retention, in passes. A pass is many small calls, and waits after each as long as it took:
 * the busier the journal, the slower the pass. Jitter keeps servers that were started together apart.
 */
export const createRetention = (options: RetentionOptions): Retention => {
  const { prune, removeArtifacts, retentionMs, auditRetentionMs, clock, stopwatch, random, isReady, observer } =
    options;
  const between = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, Math.min(retentionMs, auditRetentionMs) / SHARE));
  let isOpen = true;
  let pass: Promise<void> = Promise.resolve();
  let callOff = (): void => {};
  let wake = (): void => {};

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
      callOff = options.later(resolve, ms);
    });

  /** Those whose artifacts are gone now. One that cannot be removed is named again in the next pass. */
  const unlink = async (executions: readonly string[]): Promise<string[]> => {
    const done: string[] = [];
    for (const execution of executions) {
      try {
        await removeArtifacts(execution);
        done.push(execution);
      } catch (error) {
        observer.error(`the artifacts of ${execution} could not be removed`, error);
      }
    }
    return done;
  };

  const run = async (): Promise<void> => {
    const now = clock();
    const limits = { before: now - retentionMs, auditBefore: now - auditRetentionMs };
    let unlinked: string[] = [];
    while (isOpen && isReady()) {
      const began = stopwatch();
      const { counts, unlink: named, more } = await prune({ ...limits, unlinked });
      observer.pruned(counts);
      unlinked = await unlink(named);
      if (!more && unlinked.length === 0) return;
      await pause(stopwatch() - began);
    }
  };

  const schedule = (delayMs: number): void => {
    if (!isOpen) return;
    // Between a half and one and a half of it.
    callOff = options.later(
      () => {
        let next = between;
        pass = run()
          .catch((error: unknown) => {
            next = Math.min(between, SOON_MS);
            observer.error('what is older than retention could not be removed', error);
          })
          .finally(() => schedule(next));
      },
      delayMs * (0.5 + random()),
    );
  };
  schedule(Math.min(between, SOON_MS));

  return {
    close: () => {
      isOpen = false;
      callOff();
      wake();
      return pass;
    },
  };
};
