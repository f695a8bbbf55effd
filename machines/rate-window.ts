/**
 * How often something was charged in the last 60 minutes, by minute, oldest first: plain JSON of at most 61 entries. A
 * minute counts whole until its last moment is 60 minutes ago, so that never more than the limit fit into any 60 minutes;
 * its first moment counts up to a minute longer than it had to (contract, section 6).
 *
 * Times are ms that never fall.
 */
export type RateWindow = readonly (readonly [minute: number, charged: number])[];

const MINUTE_MS = 60_000;
const MINUTES = 60;

const minuteOf = (at: number): number => Math.floor(at / MINUTE_MS);

/** What still counts at `at`. */
const slid = (window: RateWindow, at: number): RateWindow => {
  const oldest = minuteOf(at) - MINUTES;
  const first = window.findIndex(([minute]) => minute >= oldest);
  return first === -1 ? [] : window.slice(first);
};

/** The window after one more charge at `at`, without what no longer counts. */
export const counted = (window: RateWindow, at: number): RateWindow => {
  const minute = minuteOf(at);
  const recent = slid(window, at);
  const last = recent.at(-1);
  return last?.[0] === minute ? [...recent.slice(0, -1), [minute, last[1] + 1]] : [...recent, [minute, 1]];
};

/** Milliseconds from `at` until one more charge fits below `limit`; 0 where it fits now. */
export const waitFor = (window: RateWindow, limit: number, at: number): number => {
  const recent = slid(window, at);
  let excess = recent.reduce((sum, [, charged]) => sum + charged, 1) - limit;
  if (excess <= 0) return 0;
  for (const [minute, charged] of recent) {
    excess -= charged;
    if (excess <= 0) return (minute + MINUTES + 1) * MINUTE_MS - at;
  }
  return Infinity;
};
