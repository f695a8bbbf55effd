import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createCounters } from '../../../src/gateway/counters.ts';
import { createFailedLogins } from '../../../src/gateway/failed-logins.ts';

const test = suite('counters');

test('counts by key, in windows that begin with the first', async () => {
  let now = 1_000;
  const counters = createCounters({ window: 60, max: 10, now: () => now });
  assert.equal(counters.peek('a'), { count: 0, endsIn: 0 });
  const counts = await Promise.all(['a', 'a', 'b', 'a'].map((key) => counters.count(key)));
  assert.equal(
    counts.map(({ count }) => count),
    [1, 2, 1, 3],
  );
  now += 59_001;
  assert.equal(counters.peek('a'), { count: 3, endsIn: 1 });
  assert.is((await counters.count('a')).count, 4);
  now += 999;
  assert.equal(counters.peek('a'), { count: 0, endsIn: 0 });
  assert.is((await counters.count('a')).count, 1);
});

test('what is taken back does not count, and never in a later window', async () => {
  let now = 0;
  const counters = createCounters({ window: 60, max: 10, now: () => now });
  const [first, second] = [await counters.count('a'), await counters.count('a')];
  first.undo();
  assert.is(counters.peek('a').count, 1);
  assert.is((await counters.count('a')).count, 2);
  now = 60_000;
  await counters.count('a');
  second.undo();
  assert.is(counters.peek('a').count, 1);
  assert.is((await counters.count('a')).count, 2);
});

test('keys are bounded: the one unused for longest is forgotten, wholly', async () => {
  const counters = createCounters({ window: 60, max: 2, now: () => 0 });
  await counters.count('a');
  await counters.count('b');
  await counters.count('c');
  assert.is(counters.peek('a').count, 0);
  assert.is((await counters.count('a')).count, 1);
});

test('the library and what is kept beside it count alike, whatever is taken back', async () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b'),
    undo: fc.boolean(),
    wait: fc.integer({ min: 0, max: 40_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      let now = 0;
      const counters = createCounters({ window: 60, max: 10, now: () => now });
      const model = new Map<string, { since: number; count: number }>();
      for (const { key, undo, wait } of steps) {
        now += wait;
        const known = model.get(key);
        const window = known !== undefined && now - known.since < 60_000 ? known : { since: now, count: 0 };
        model.set(key, window);
        window.count += 1;
        const counted = await counters.count(key);
        assert.is(counted.count, window.count);
        if (undo) {
          counted.undo();
          window.count -= 1;
        }
        assert.is(counters.peek(key).count, window.count);
      }
    }),
  );
});

test('an address is blocked from its limit on until its minute is over; each failure is told', () => {
  let now = 0;
  const told: string[] = [];
  const logins = createFailedLogins(
    2,
    () => now,
    (address) => void told.push(address),
  );
  logins.add('1.1.1.1');
  assert.is(logins.blockedFor('1.1.1.1'), 0);
  now = 30_000;
  logins.add('1.1.1.1');
  assert.is(logins.blockedFor('1.1.1.1'), 30);
  assert.is(logins.blockedFor('2.2.2.2'), 0);
  now = 60_000;
  assert.is(logins.blockedFor('1.1.1.1'), 0);
  assert.equal(told, ['1.1.1.1', '1.1.1.1']);
});

test.run();
