import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createTimers } from '../../actors/timers.ts';

const test = suite('timers');

const key = fc.constantFrom('a', 'b', 'c', 'd');
const step = fc.oneof(
  fc.record({ type: fc.constant('set' as const), key, at: fc.option(fc.nat({ max: 50 })) }),
  fc.record({ type: fc.constant('due' as const), now: fc.nat({ max: 60 }), limit: fc.integer({ min: 1, max: 5 }) }),
);

test('each deadline fires once, not early, the latest setting counts', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const timers = createTimers();
      const model = new Map<string, number>();
      for (const each of steps) {
        if (each.type === 'set') {
          timers.set(each.key, each.at);
          if (each.at === null) model.delete(each.key);
          else model.set(each.key, each.at);
        } else {
          const expected = [...model]
            .filter(([, at]) => at <= each.now)
            .toSorted(([a, atA], [b, atB]) => atA - atB || (a < b ? -1 : 1))
            .map(([name]) => name)
            .slice(0, each.limit);
          assert.equal(timers.due(each.now, each.limit), expected);
          for (const name of expected) model.delete(name);
        }
        assert.is(timers.next(), model.size === 0 ? null : Math.min(...model.values()));
        assert.is(timers.count(), model.size);
        assert.equal(
          timers.list(),
          [...model].toSorted(([a, atA], [b, atB]) => atA - atB || (a < b ? -1 : 1)),
        );
      }
    }),
  );
});

test('clearing forgets everything', () => {
  const timers = createTimers();
  timers.set('a', 1);
  timers.clear();
  assert.is(timers.next(), null);
  assert.equal(timers.due(10), []);
});

test('a deadline that is moved again and again leaves nothing behind', () => {
  const timers = createTimers();
  for (let n = 1; n <= 100_000; n++) {
    timers.set('session', 1e9 + n);
    timers.set(`execution ${n}`, 1e9);
    timers.set(`execution ${n}`, null);
  }
  timers.set('other', 5);
  assert.ok(timers.size() < 5_000, `${timers.size()} entries are held for 2 deadlines`);
  assert.equal(timers.due(10), ['other']);
  assert.is(timers.next(), 1e9 + 100_000);
});

test.run();
