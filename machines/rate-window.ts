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

/** What still counts at `at`. */
const slid = (window: RateWindow, at: number): RateWindow => {
  const [first, ...counts] = window;
  if (first === undefined) return [];
  const oldest = minuteOf(at) - MINUTES;
  if (first >= oldest) return window;
  const skipped = counts.findIndex((charged, index) => charged > 0 && first + index >= oldest);
  return skipped === -1 ? [] : [first + skipped, ...counts.slice(skipped)];
};

/** The window after one more charge at `at`, without what no longer counts. */
export const counted = (window: RateWindow, at: number): RateWindow => {
  const minute = minuteOf(at);
  const [first = minute, ...counts] = slid(window, at);
  const length = minute - first + 1;
  return [first, ...Array.from({ length }, (_, index) => (counts[index] ?? 0) + (index === length - 1 ? 1 : 0))];
};

/** Milliseconds from `at` until one more charge fits below `limit`; 0 where it fits now. */
export const waitFor = (window: RateWindow, limit: number, at: number): number => {
  const [first = 0, ...counts] = slid(window, at);
  let excess = counts.reduce((sum, charged) => sum + charged, 1) - limit;
  if (excess <= 0) return 0;
  for (const [index, charged] of counts.entries()) {
    excess -= charged;
    if (excess <= 0) return (first + index + MINUTES + 1) * MINUTE_MS - at;
  }
  return Infinity;
};
