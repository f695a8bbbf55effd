import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { histories, play, type History } from './history.ts';
import { brokenLaws } from './laws.ts';

/** Plays many histories; throws for the first that breaks a promise, shrunk, with its seed. */
export const simulate = async (seed: number, seeds: number): Promise<void> => {
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
    includeErrorInReport: true,
  } as fc.Parameters<unknown>);
};

if (import.meta.main) {
  const { values } = parseArgs({ options: { seeds: { type: 'string', default: '2000' }, seed: { type: 'string' } } });
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  const seeds = Number(values.seeds);
  const started = process.hrtime.bigint();
  try {
    await simulate(seed, seeds);
    const ms = Number(process.hrtime.bigint() - started) / 1e6;
    process.stdout.write(
      `${seeds} histories from seed ${seed} kept every promise (${(ms / seeds).toFixed(1)} ms each)\n`,
    );
    process.exit(0);
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
