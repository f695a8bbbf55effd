// limit: 600 s
import { suite } from 'uvu';
import { arrange } from './hooks.ts';

/** The promises of the contract's section 10 under every fault at once; `npm run simulate` goes on from here. */
const test = suite('the house under faults');

const SEED = Number(process.env['ARBOR_SEED'] ?? 20_261);
const SEEDS = Number(process.env['ARBOR_SEEDS'] ?? 2_000);

arrange(undefined);
const { check } = await import('./check.ts');

test(`${SEEDS} histories keep every promise`, async () => {
  process.stdout.write(`seed ${SEED} (ARBOR_SEED)\n`);
  await check({ seed: SEED, seeds: SEEDS });
});

test.run();
