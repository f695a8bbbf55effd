import { performance } from 'node:perf_hooks';

/** Milliseconds since the epoch. A parameter wherever time matters, so that a simulation can turn it. */
export type Clock = () => number;

/**
 * The clock of a running process: the wall read once, then the monotonic clock, so that a moved wall neither fires a
 * deadline early nor holds one back (contract, promise 6). Threads share the anchor.
 *
 * `anchor` is wall minus monotonic time in milliseconds, both of the process: `performance.timeOrigin` differs from
 * thread to thread, `process.hrtime` does not.
 */
export const anchoredClock = (anchor: number): Clock => {
  return () => Math.floor(anchor + monotonicMs());
};

/**
 * The anchor of a process that goes on after `latest`, the last time that was recorded: where the wall has been set back
 * meanwhile, no time has passed (contract, promise 6).
 */
export const clockAnchor = (latest: number): number => Math.max(Date.now(), latest) - monotonicMs();

const monotonicMs = (): number => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
};

/** Milliseconds for measuring, with fractions; only differences mean anything. */
export const stopwatch = (): number => performance.now();
