import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRouter } from '../../brokers/router.ts';
import { topicMatches } from '../../machines/topic.ts';

const test = suite('router');

const name = fc.constantFrom('a', 'b', 'c', '', '$s', '__proto__');
const topics = fc.array(name, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(name, fc.constant('+')), { maxLength: 5 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'));

test('after any additions and removals it finds what comparing each filter finds', () => {
  const step = fc.record({ add: fc.boolean(), filter: filters, value: fc.nat(3) });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 30 }),
      fc.array(topics, { minLength: 1, maxLength: 10 }),
      (steps, asked) => {
        const router = createRouter<number>();
        const model: { filter: string; value: number }[] = [];
        for (const { add, filter, value } of steps) {
          if (add) {
            router.add(filter, value);
            model.push({ filter, value });
          } else {
            router.remove(filter, value);
            const at = model.findIndex((entry) => entry.filter === filter && entry.value === value);
            if (at !== -1) model.splice(at, 1);
          }
        }
        for (const topic of asked) {
          const expected = model.filter((entry) => topicMatches(entry.filter, topic)).map(({ value }) => value);
          assert.equal(
            [...router.match(topic)].toSorted((a, b) => a - b),
            expected.toSorted((a, b) => a - b),
            topic,
          );
          assert.is(router.matchesAny(topic), expected.length > 0, topic);
        }
      },
    ),
  );
});

test('a match stays as it was while subscriptions change', () => {
  const router = createRouter<string>();
  router.add('t', 'one');
  router.add('t', 'two');
  const found = router.match('t');
  router.remove('t', 'one');
  router.add('t', 'three');
  assert.equal(found, ['one', 'two']);
  assert.equal(router.match('t'), ['two', 'three']);
});

test.run();
