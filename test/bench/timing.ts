import { quantile } from './summary.ts';

const CALLS = 500;
const BATCHES = 60;
/** Batches that are not counted: the compiler is at work. */
const WARM_UP = 20;

/** Microseconds of one call of `work`, by a batch of them; each is awaited where it answers with a promise. */
const batch = async (work: () => unknown): Promise<number> => {
  const first = work();
  const isAsync = first instanceof Promise;
  await first;
  const started = performance.now();
  if (isAsync) for (let n = 0; n < CALLS; n++) await work();
  else for (let n = 0; n < CALLS; n++) work();
  return ((performance.now() - started) * 1_000) / CALLS;
};

/**
 * Microseconds of one call of each: the median of its batches, which take turns with those of the others, so that what
 * the machine does meanwhile meets all alike.
 */
export const microseconds = async <Name extends string>(
  works: Readonly<Record<Name, () => unknown>>,
): Promise<Readonly<Record<Name, number>>> => {
  const all = (Object.entries(works) as [Name, () => unknown][]).map(([name, work]) => ({
    name,
    work,
    times: [] as number[],
  }));
  for (let n = 0; n < WARM_UP + BATCHES; n++)
    for (const { work, times } of all) {
      const time = await batch(work);
      if (n >= WARM_UP) times.push(time);
    }
  return Object.fromEntries(all.map(({ name, times }) => [name, quantile(times, 0.5)])) as Record<Name, number>;
};
