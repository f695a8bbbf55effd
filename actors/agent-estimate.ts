/** How long runs take, from those that have ended. */
export interface Estimate {
  /** Milliseconds that the next run of this command is expected to take. */
  of(command: string): number;
  /** A run has ended, or is known to take at least this long. */
  learn(command: string, tookMs: number): void;
  /** Milliseconds that any next run is expected to take. */
  mean(): number;
}

/** Runs of a command that nobody has seen yet. */
const UNKNOWN_MS = 10;
const UNKNOWN_MEAN_MS = 50;
/** Weight of the latest run. */
const WEIGHT = 0.1;

/** Exponentially weighted moving averages: one for each command, one for all. */
export const createEstimate = (): Estimate => {
  const byCommand = new Map<string, number>();
  let mean = UNKNOWN_MEAN_MS;
  return {
    of: (command) => byCommand.get(command) ?? UNKNOWN_MS,
    learn: (command, tookMs) => {
      const before = byCommand.get(command) ?? tookMs;
      byCommand.set(command, before + WEIGHT * (tookMs - before));
      mean += WEIGHT * (tookMs - mean);
    },
    mean: () => mean,
  };
};
