import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SIMULATE = fileURLToPath(new URL('./simulate.ts', import.meta.url));

/** How a process of its own has ended that played histories, and what it said. */
export interface Played {
  readonly code: number;
  readonly text: string;
}

/** Plays histories in another process, with a mutant where one is named. */
export const playApart = async (seed: number, seeds: number, mutant: string | null): Promise<Played> => {
  const { ARBOR_MUTANT: _, ...env } = process.env;
  const child = spawn(process.execPath, [SIMULATE, '--seed', String(seed), '--seeds', String(seeds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: mutant === null ? env : { ...env, ARBOR_MUTANT: mutant },
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? 1, text };
};

/** The number of the history in which a mutant was noticed; null where it was not. */
export const noticedIn = ({ code, text }: Played): number | null => {
  const tries = /after (\d+) tests/.exec(text)?.[1];
  return code === 0 || tries === undefined ? null : Number(tries);
};

/** Takes one after the other, `jobs` at a time. */
export const inTurn = async <T>(all: readonly T[], jobs: number, work: (one: T) => Promise<void>): Promise<void> => {
  const left = [...all];
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next);
    }),
  );
};
