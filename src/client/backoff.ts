import { fullJitter, type Backoff } from '../../machines/backoff.ts';

/** How long to wait before connecting anew. */
const RECONNECT_BACKOFF: Backoff = { base_ms: 250, cap_ms: 15_000 };

/** Milliseconds before the attempt after the `failures`th failure in a row, from 1. */
export const reconnectDelay = (failures: number, random: () => number = Math.random): number =>
  // The exponent is bounded: 2 ** 1100 is Infinity, and Infinity times a random 0 is no number.
  fullJitter(Math.min(failures, 30), random(), RECONNECT_BACKOFF);

/** Resolves after `ms`, or as soon as the signal is aborted. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
