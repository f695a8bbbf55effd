import fc from 'fast-check';
import { histories, type History } from './actions.ts';
import { play } from './history.ts';
import { brokenLaws } from './laws.ts';

export interface CheckOptions {
  readonly seed: number;
  readonly seeds: number;
  /** Of one history, as a failure prints it. */
  readonly path?: string;
  /** Without a search for the shortest history. */
  readonly quick?: boolean;
}

/** Plays histories; rejects for the first that breaks a promise, with its seed and the shortest that does so. */
export const check = async ({ seed, seeds, path, quick = false }: CheckOptions): Promise<void> => {
  const keepsAll = async (history: History): Promise<void> => {
    const room = await play(history);
    try {
      const broken = brokenLaws(room);
      if (broken.length > 0) throw new Error(broken.slice(0, 5).join('\n'));
    } finally {
      room.end();
    }
  };
  await fc.assert(fc.asyncProperty(histories, keepsAll), {
    seed,
    numRuns: seeds,
    endOnFailure: quick,
    includeErrorInReport: true,
    ...(path === undefined ? {} : { path }),
  } as fc.Parameters<[History]>);
};
