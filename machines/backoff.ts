/** Limits of a backoff, in milliseconds. */
export interface Backoff {
  readonly base_ms: number;
  readonly cap_ms: number;
}

/** Between a failed attempt of a command and the next, unless the command says otherwise. */
export const RETRY_BACKOFF: Backoff = { base_ms: 1_000, cap_ms: 60_000 };

/** How long a delivery waits after its first, second, … failed attempt (contract, section 9); as many retries. */
export const DELIVERY_WAITS_MS: readonly number[] = [
  1_000, 5_000, 30_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000,
];

/** A whole number of milliseconds from a half to one and a half of `ms`, and `ms` on average; `random` as below. */
export const spread = (ms: number, random: number): number => Math.floor(ms * (0.5 + random));

/**
 * Exponential backoff with full jitter: a whole number of milliseconds from 0 to `min(cap, base · 2^(attempt − 1))`.
 * `attempt` is the one that failed, from 1; `random` from 0 to below 1.
 */
export const fullJitter = (attempt: number, random: number, { base_ms, cap_ms }: Backoff): number =>
  Math.floor(random * Math.min(cap_ms, base_ms * 2 ** (attempt - 1)));
