/**
 * How often something was charged in the last 60 minutes: the first minute that counts, then the charges of each minute
 * from there on. Plain JSON of at most 62 numbers. A minute counts whole until its last moment is 60 minutes ago, so that
 * never more than the limit fit into any 60 minutes; its first moment counts up to a minute longer than it had to
 * (contract, section 6).
 *
 * Times are ms that never fall.
 */
export type RateWindow = readonly number[];

const MINUTE_MS = 60_000;
const MINUTES = 60;

const minuteOf = (at: number): number => Math.floor(at / MINUTE_MS);

/** Where in the window what still counts at `at` begins: the index of a minute's charges, or its length for nothing. */
const startOf = (window: RateWindow, at: number): number => {
  const first = window[0] ?? 0;
  let index = Math.max(1, minuteOf(at) - MINUTES - first + 1);
  // A window begins with a minute in which something was charged.
  while (index < window.length && window[index] === 0) index += 1;
  return Math.min(index, window.length);
};

/** The window after one more charge at `at`, without what no longer counts. */
export const counted = (window: RateWindow, at: number): RateWindow => {
  const minute = minuteOf(at);
  const start = startOf(window, at);
  if (start >= window.length) return [minute, 1];
  const next = window.slice(start - 1);
  next[0] = (window[0] as number) + start - 1;
  const index = minute - next[0] + 1;
  while (next.length <= index) next.push(0);
  next[index] = (next[index] as number) + 1;
  return next;
};

/** Milliseconds from `at` until one more charge fits below `limit`; 0 where it fits now. */
export const waitFor = (window: RateWindow, limit: number, at: number): number => {
  const start = startOf(window, at);
  let excess = 1 - limit;
  for (let index = start; index < window.length; index += 1) excess += window[index] as number;
  if (excess <= 0) return 0;
  for (let index = start; index < window.length; index += 1) {
    excess -= window[index] as number;
    if (excess <= 0) return ((window[0] as number) + index + MINUTES) * MINUTE_MS - at;
  }
  return Infinity;
};
