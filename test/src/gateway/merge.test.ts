import { mock } from 'node:test';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createMerger, type Merger } from '../../../src/gateway/merge.ts';

const test = suite('merged facts');

test.before.each(() => mock.timers.enable({ apis: ['setTimeout'] }));
test.after.each(() => mock.timers.reset());

interface Fact {
  readonly key: string;
  readonly n: number;
}
interface Telling extends Fact {
  readonly count: number;
  readonly at: number;
}

const WINDOW_MS = 20;

/** A merger on a clock of its own, what it told, and what it was given. */
const bench = (max?: number) => {
  const told: Telling[] = [];
  const added: (Fact & { readonly at: number })[] = [];
  let now = 0;
  const merger: Merger<Fact> = createMerger({
    windowMs: WINDOW_MS,
    ...(max === undefined ? {} : { max }),
    tell: ({ key, n }, count) => void told.push({ key, n, count, at: now }),
  });
  return {
    merger,
    told,
    added,
    now: () => now,
    add: (key: string) => {
      const n = added.length;
      added.push({ key, n, at: now });
      merger.add(key, { key, n });
    },
    // One by one: a timer that is set while the clock moves counts from where it has got to.
    pass: (ms: number) => {
      for (let step = 0; step < ms; step += 1) {
        now += 1;
        mock.timers.tick(1);
      }
    },
  };
};
type Bench = ReturnType<typeof bench>;

const countOf = (told: readonly Telling[], key: string): number =>
  told.filter((each) => each.key === key).reduce((sum, { count }) => sum + count, 0);
const short = (told: readonly Telling[]) => told.map(({ key, n, count, at }) => [key, n, count, at]);

test('the first is told at once, the rest of its window together at its end', () => {
  const { add, pass, told, merger } = bench();
  add('a');
  pass(5);
  add('a');
  add('a');
  assert.equal(short(told), [['a', 0, 1, 0]]);
  pass(15);
  assert.equal(short(told), [
    ['a', 0, 1, 0],
    ['a', 2, 2, 20],
  ]);
  merger.close();
});

test('what is told at the end of a window opens the next; after a silent one all begins anew', () => {
  const { add, pass, told, merger } = bench();
  add('a');
  add('a');
  pass(20);
  add('a');
  assert.is(told.length, 2, 'it waits for the window that the second telling has opened');
  pass(20);
  assert.equal(short(told).at(-1), ['a', 2, 1, 40]);
  pass(20);
  add('a');
  assert.equal(short(told).at(-1), ['a', 3, 1, 60], 'told at once');
  pass(40);
  assert.is(told.length, 4, 'nothing is told twice');
  merger.close();
});

test('keys do not merge with one another', () => {
  const { add, pass, told, merger } = bench();
  for (const key of ['a', 'b', 'a', 'b', 'a']) add(key);
  pass(20);
  assert.equal(short(told), [
    ['a', 0, 1, 0],
    ['b', 1, 1, 0],
    ['a', 4, 2, 20],
    ['b', 3, 1, 20],
  ]);
  merger.close();
});

test('beyond the bound the oldest window ends early, and its count is not lost', () => {
  const { add, pass, told, merger } = bench(2);
  add('a');
  add('b');
  add('a');
  pass(3);
  add('c');
  assert.equal(short(told), [
    ['a', 0, 1, 0],
    ['b', 1, 1, 0],
    ['a', 2, 1, 3],
    ['c', 3, 1, 3],
  ]);
  pass(100);
  assert.is(told.length, 4);
  merger.close();
});

test('closing tells what is counted and takes no more', () => {
  const { add, pass, told, merger } = bench();
  add('a');
  add('a');
  add('a');
  add('b');
  merger.close();
  assert.equal(short(told), [
    ['a', 0, 1, 0],
    ['b', 3, 1, 0],
    ['a', 2, 2, 0],
  ]);
  add('a');
  add('c');
  merger.close();
  pass(100);
  assert.is(told.length, 3);
});

test('does not keep the process alive', () => {
  mock.timers.reset();
  const { add, merger } = bench();
  const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  add('a');
  assert.is(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length, before);
  merger.close();
});

/** Every add is told of, and none later than a window after it. */
const isTold = ({ told, added, now }: Bench): void => {
  for (const key of new Set(added.map((fact) => fact.key))) {
    const waiting = added.filter((fact) => fact.key === key).slice(countOf(told, key));
    for (const { at } of waiting) assert.ok(now() - at < WINDOW_MS, `${key} of ${at} is not told at ${now()}`);
  }
};

const KEYS = ['a', 'b', 'c', 'd'];
const steps = fc.array(
  fc.oneof(
    fc.constantFrom(...KEYS).map((key) => ({ key })),
    fc.integer({ min: 1, max: 50 }).map((ms) => ({ ms })),
  ),
  { maxLength: 80 },
);

const play = (max: number | undefined, given: readonly ({ key: string } | { ms: number })[]): Bench => {
  const on = bench(max);
  for (const step of given) {
    if ('ms' in step) on.pass(step.ms);
    else on.add(step.key);
    isTold(on);
    const waiting = KEYS.filter((key) => countOf(on.told, key) < on.added.filter((fact) => fact.key === key).length);
    assert.ok(waiting.length <= (max ?? Infinity), `${waiting.length} keys are counted, ${max} may be`);
    for (const { key, n } of on.told) assert.is(on.added[n]?.key, key);
  }
  return on;
};

test('whatever comes when: counts add up, the last fact speaks, at most one telling a window', () => {
  fc.assert(
    fc.property(steps, (given) => {
      const on = play(undefined, given);
      const { told, added, merger } = on;
      for (const key of KEYS) {
        const times = told.filter((each) => each.key === key).map(({ at }) => at);
        for (const [index, at] of times.entries())
          if (index > 0) assert.ok(at - (times[index - 1] ?? 0) >= WINDOW_MS, `${key} is told at ${times.join(', ')}`);
      }
      merger.close();
      for (const key of KEYS) {
        const facts = added.filter((fact) => fact.key === key);
        const all = told.filter((each) => each.key === key);
        assert.is(countOf(told, key), facts.length, `every ${key} is counted once`);
        let sum = 0;
        for (const { n, count } of all) {
          sum += count;
          assert.is(n, facts[sum - 1]?.n, 'told is the last of those that it stands for');
        }
        assert.ok(all.every(({ count }) => count > 0));
      }
    }),
    { numRuns: 300 },
  );
});

test('with few keys at a time counts still add up', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 3 }), (given, max) => {
      const { told, added, merger } = play(max, given);
      merger.close();
      for (const key of KEYS) assert.is(countOf(told, key), added.filter((fact) => fact.key === key).length);
    }),
    { numRuns: 300 },
  );
});

test.run();
