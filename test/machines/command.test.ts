import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { defineCommand, type CommandDeclaration } from '../../machines/command.ts';

const test = suite('command');

const factsOf = (retry?: CommandDeclaration<z.ZodType, z.ZodType>['retry']) =>
  defineCommand({
    name: 'a',
    summary: 'a',
    args: z.object({}),
    result: z.null(),
    run: () => null,
    ...(retry === undefined ? {} : { retry }),
  }).facts;

test('how often and how soon it is tried again: by default, and as declared', () => {
  assert.equal([factsOf().max_attempts, factsOf().backoff], [4, undefined]);
  assert.equal([factsOf({ limit: 0 }).max_attempts, factsOf({ limit: 0 }).backoff], [1, undefined]);
  assert.equal(factsOf({ limit: 1, base_ms: 5 }).backoff, { base_ms: 5, cap_ms: 60_000 });
  assert.equal(factsOf({ limit: 1, cap_ms: 5_000 }).backoff, { base_ms: 1_000, cap_ms: 5_000 });
  assert.equal(factsOf({ limit: 1, base_ms: 90_000 }).backoff, { base_ms: 90_000, cap_ms: 90_000 });
});

test('a retry policy outside of its bounds is refused with its field', () => {
  for (const [retry, field] of [
    [{ limit: -1 }, 'limit'],
    [{ limit: 1.5 }, 'limit'],
    [{ limit: 101 }, 'limit'],
    [{ limit: 1, base_ms: 0 }, 'base_ms'],
    [{ limit: 1, base_ms: 86_400_001 }, 'base_ms'],
    [{ limit: 1, cap_ms: 999 }, 'cap_ms'],
    [{ limit: 1, cap_ms: Number.POSITIVE_INFINITY }, 'cap_ms'],
  ] as const)
    assert.throws(() => factsOf(retry), new RegExp(`^retry\\.${field} of a: expected a whole number from`), field);
});

test.run();
