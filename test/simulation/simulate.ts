import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { arrange } from './hooks.ts';
import { MUTANTS } from './mutants.ts';

/** Seeds within which a mutant has to be noticed. */
const MUTANT_SEEDS = 2_000;

/**
 * `npm run simulate -- [--seeds N] [--seed S] [--mutants] [--jobs J]`: histories by random seeds, or by the one that is
 * given; with `--mutants` each mutant has to be caught.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    seed: { type: 'string' },
    path: { type: 'string' },
    mutants: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
  },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const seeds = Number(values.seeds);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Another process with its own part of the work; answers its exit code and what it said. */
const child = async (
  args: readonly string[],
  mutant: string | null,
): Promise<{ readonly code: number; readonly text: string }> => {
  const part = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...(mutant === null ? {} : { ARBOR_MUTANT: mutant }) },
  });
  let text = '';
  part.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const [code] = (await once(part, 'close')) as [number | null];
  return { code: code ?? 1, text };
};

/** Takes one after the other, `jobs` at a time. */
const each = async <T>(all: readonly T[], jobs: number, work: (one: T) => Promise<void>): Promise<void> => {
  const left = [...all];
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next);
    }),
  );
};

const jobs = Number(values.jobs);
let failed = false;
if (values.mutants) {
  await each(MUTANTS, jobs, async ({ name }) => {
    const { code, text } = await child(['--seed', String(seed), '--seeds', String(MUTANT_SEEDS)], name);
    const tries = /after (\d+) tests/.exec(text)?.[1];
    const caught = code !== 0 && tries !== undefined;
    failed ||= !caught;
    say(caught ? `caught   ${name}: seed ${seed}, history ${tries}` : `ESCAPED  ${name}\n${text}`);
  });
} else if (jobs > 1) {
  const share = Math.ceil(seeds / jobs);
  const starts = Array.from({ length: jobs }, (_, index) => seed + index * 7_919);
  await each(starts, jobs, async (from) => {
    const { code, text } = await child(['--seed', String(from), '--seeds', String(share)], null);
    failed ||= code !== 0;
    say(text.trimEnd());
  });
} else {
  arrange(process.env['ARBOR_MUTANT']);
  const { check } = await import('./check.ts');
  const started = process.hrtime.bigint();
  try {
    await check({
      seed,
      seeds,
      ...(values.path === undefined ? {} : { path: values.path }),
      quick: process.env['ARBOR_MUTANT'] !== undefined,
    });
    const ms = Number(process.hrtime.bigint() - started) / 1e6;
    say(`${seeds} histories from seed ${seed} kept every promise (${(ms / seeds).toFixed(1)} ms each)`);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
