export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly values: readonly number[];
}

/** Median and spread of the rounds. */
export const summarise = (values: readonly number[]): Summary => ({
  median: quantile(values, 0.5),
  least: Math.min(...values),
  most: Math.max(...values),
  values,
});

/** The q-quantile of the values, by the nearest rank. */
export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
};

/** Runs `work` `total` times with `inFlight` at once; the time it took in seconds. */
export const saturate = async (
  total: number,
  inFlight: number,
  work: (lane: number) => Promise<void>,
): Promise<number> => {
  const started = performance.now();
  let begun = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async (_, lane) => {
      while (begun < total) {
        begun += 1;
        await work(lane);
      }
    }),
  );
  return (performance.now() - started) / 1_000;
};

/** The time in milliseconds of each of `total` calls, one after the other. */
export const oneByOne = async (total: number, work: () => Promise<void>): Promise<number[]> => {
  const times: number[] = [];
  for (let n = 0; n < total; n++) {
    const started = performance.now();
    await work();
    times.push(performance.now() - started);
  }
  return times;
};

/** The last line of a contender. */
export const print = (figures: Readonly<Record<string, number>>): void => console.log(JSON.stringify(figures));

export const IN_FLIGHT = 256;
