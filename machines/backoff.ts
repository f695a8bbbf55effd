/** Limits of a backoff, in milliseconds. */
export interface Backoff {
  readonly base_ms: number;
  readonly cap_ms: number;
}

/**
 * Exponential backoff with full jitter: a whole number of milliseconds from 0 to `min(cap, base · 2^(attempt − 1))`.
 * `attempt` is the one that failed, from 1; `random` from 0 to below 1.
 */
export const fullJitter = (attempt: number, random: number, { base_ms, cap_ms }: Backoff): number =>
  Math.floor(random * Math.min(cap_ms, base_ms * 2 ** (attempt - 1)));
