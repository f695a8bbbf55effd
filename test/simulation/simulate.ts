import { parseArgs } from 'node:util';
import { inTurn, noticedIn, playApart } from './children.ts';
import { arrange } from './hooks.ts';
import { MUTANTS } from './mutants.ts';

/**
 * `npm run simulate -- [--seeds N] [--seed S [--path P]] [--jobs J] [--mutants]`: plays so many histories, by a random
 * seed or the one that is given, `J` processes at a time. A failure prints its seed, its path and its shortest history,
 * by which it is played again. With `--mutants` each mutant has to be noticed within so many.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    seed: { type: 'string' },
    path: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    mutants: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const [seeds, jobs] = [Number(values.seeds), Number(values.jobs)];
const mutant = process.env['ARBOR_MUTANT'];
const say = (line: string): void => void process.stdout.write(`${line}\n`);
let failed = false;

if (values.mutants) {
  await inTurn(MUTANTS, jobs, async ({ name }) => {
    const played = await playApart(seed, seeds, name);
    const history = noticedIn(played);
    failed ||= history === null;
    say(history === null ? `ESCAPED  ${name}\n${played.text}` : `caught   ${name}: seed ${seed}, history ${history}`);
  });
} else if (jobs > 1) {
  const starts = Array.from({ length: jobs }, (_, index) => seed + index);
  await inTurn(starts, jobs, async (from) => {
    const { code, text } = await playApart(from, Math.ceil(seeds / jobs), null);
    failed ||= code !== 0;
    say(text.trimEnd());
  });
} else {
  arrange(mutant);
  const { check } = await import('./check.ts');
  const started = performance.now();
  try {
    await check({
      seed,
      seeds,
      quick: mutant !== undefined,
      ...(values.path === undefined ? {} : { path: values.path }),
    });
    const each = (performance.now() - started) / seeds;
    say(`${seeds} histories from seed ${seed} kept every promise (${each.toFixed(1)} ms each)`);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
