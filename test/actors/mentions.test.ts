import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createMentions } from '../../actors/mentions.ts';

const test = suite('mentions');

const step = fc.oneof(
  fc.record({ type: fc.constant('add' as const), mention: fc.constantFrom('a', 'b', 'c'), isNewGroup: fc.boolean() }),
  fc.record({ type: fc.constant('settled' as const), behind: fc.nat({ max: 4 }) }),
);

test('what a group speaks of is open until the tables follow it, and is then forgotten', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const mentions = createMentions();
      const last = new Map<string, number>();
      let group = 1;
      let done = 0;
      for (const each of steps) {
        if (each.type === 'settled') {
          done = Math.max(done, Math.min(group, group - each.behind));
          mentions.settled(group - each.behind);
        } else {
          if (each.isNewGroup || group <= done) group = Math.max(group, done) + 1;
          mentions.add(group, each.mention);
          last.set(each.mention, group);
        }
        const open = [...last].filter(([, at]) => at > done).map(([mention]) => mention);
        for (const mention of ['a', 'b', 'c', 'd'])
          assert.is(mentions.isOpen(mention), open.includes(mention), mention);
        assert.is(mentions.isOpen(null), open.length > 0);
        assert.is(mentions.size(), open.length);
      }
    }),
  );
});

test('beyond the bound every read waits, until the tables have come so far', () => {
  const mentions = createMentions();
  for (let n = 1; n <= 150_000; n++) mentions.add(n, `session ${n}`);
  assert.is(mentions.size(), 100_000);
  assert.ok(mentions.isOpen('session 150000') && mentions.isOpen('nobody'));
  mentions.settled(149_999);
  assert.ok(mentions.isOpen('nobody'), 'something of the last group is not known');
  assert.is(mentions.size(), 0);
  mentions.add(150_001, 'session 7');
  mentions.settled(150_000);
  assert.ok(mentions.isOpen('session 7') && !mentions.isOpen('nobody'));
});

test.run();
