import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { duration, someOf } from '../../../src/cli/option-values.ts';

const test = suite('option values');

test('a time is a count of seconds, minutes, hours or days', () => {
  assert.equal(['90', '30s', '15m', '2h', '7d'].map(duration), [90, 30, 900, 7200, 604_800]);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 - 1 }), fc.constantFrom('', 's', 'm', 'h', 'd'), (count, unit) => {
      const factor = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }[unit] as number;
      assert.is(duration(`${count}${unit}`), count * factor);
    }),
  );
});

test('what is no time is refused', () => {
  for (const text of ['', '0', '0h', '-1', '1.5h', '1 h', '2w', 'h', '1h30m', '1e3', '9999999999'])
    assert.throws(() => duration(text), /30s, 15m, 2h, 7d/);
});

test('words of a list, in its order and once', () => {
  const parse = someOf(['read', 'write', 'list']);
  assert.equal(parse('write, read,write'), ['read', 'write']);
  for (const text of ['', 'read,', 'Read', 'read,exec']) assert.throws(() => parse(text), /some of read, write, list/);
});

test.run();
