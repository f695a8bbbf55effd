// limit: 900 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { noticedIn, playApart } from './children.ts';
import { MUTANTS } from './mutants.ts';

/** That the simulation can fail: what breaks a promise is noticed. */
const test = suite('mutants of the house');

const SEED = Number(process.env['ARBOR_SEED'] ?? 20_261);
const SEEDS = 2_000;
/** Where fewer histories are wanted, a few mutants do. */
const SOME = process.env['ARBOR_SEEDS'] === undefined ? 10 : 3;

for (const { name } of MUTANTS.slice(0, SOME))
  test(name, async () => {
    const played = await playApart(SEED, SEEDS, name);
    const history = noticedIn(played);
    assert.is.not(history, null, `it escaped ${SEEDS} histories from seed ${SEED}: ${played.text}`);
  });

test.run();
