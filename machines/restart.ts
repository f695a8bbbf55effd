/** Restart intensity, as in OTP: more than so many restarts in so many seconds, and the child is given up. */
export interface RestartLimits {
  readonly max_restarts: number;
  readonly max_seconds: number;
}

/**
 * Whether one more restart at `at` (ms since the epoch) stays within the limits, by a sliding window that holds the times
 * of earlier restarts, oldest first. The answer is the new window, or null where the restart is not allowed.
 */
export const restartAllowed = (
  window: readonly number[],
  at: number,
  { max_restarts, max_seconds }: RestartLimits,
): readonly number[] | null => {
  const recent = window.filter((time) => at - time <= max_seconds * 1000);
  return recent.length < max_restarts ? [...recent, at] : null;
};
