import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { defineCommand } from '../../machines/command.ts';
import { MASK, masked, SENSITIVE_NAMES } from '../../machines/mask.ts';

const test = suite('mask');

test('sensitive fields are masked at every depth, whatever their type and spelling', () => {
  assert.equal(
    masked({ user: 'ada', Password: 'x', nested: [{ 'API-Key': 1, apiKey: null, githubToken: { a: 1 }, tokens: 3 }] }),
    { user: 'ada', Password: MASK, nested: [{ 'API-Key': MASK, apiKey: MASK, githubToken: MASK, tokens: 3 }] },
  );
});

test('a field that its author marks is masked, also where it is optional or nested', () => {
  const { facts } = defineCommand({
    name: 'deploy',
    summary: 'Deploys',
    args: z.strictObject({
      pin: z.string().meta({ secret: true }),
      to: z.array(z.strictObject({ seed: z.string().meta({ secret: true }).optional(), host: z.string() })).optional(),
    }),
    result: z.null(),
    run: () => null,
  });
  assert.equal(masked({ pin: '1234', to: [{ seed: 's', host: 'h' }] }, facts.secrets), {
    pin: MASK,
    to: [{ seed: MASK, host: 'h' }],
  });
});

test('where there is nothing to mask, the answer is the value itself; what is nested without end is masked unseen', () => {
  const plain = { a: [{ b: 1 }, null, 'x'], c: {} };
  assert.is(masked(plain), plain);
  const deep = Array.from({ length: 5_000 }).reduce<unknown>((inner) => [inner], 'secret?');
  assert.not.match(JSON.stringify(masked(deep)), 'secret?');
});

test('a command without marked fields has no list of them', () => {
  const { facts } = defineCommand({ name: 'a', summary: 'a', args: z.object({}), result: z.null(), run: () => null });
  assert.not.ok('secrets' in facts);
});

test('what is planted under a sensitive name is nowhere in what is shown; everything else is as it was', () => {
  const planted = 'planted-secret';
  const plain = fc.jsonValue().filter((value) => !JSON.stringify(value).includes(planted));
  const holder = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constant('leaf'),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.record({ open: tie('tree') }),
      fc.constantFrom(...SENSITIVE_NAMES).map((name) => ({ [name]: planted })),
    ),
  })).tree;
  fc.assert(
    fc.property(holder, (tree) => {
      const shown = JSON.stringify(masked(tree));
      assert.not.ok(shown.includes(planted));
      assert.is(shown.split(MASK).length, JSON.stringify(tree).split(planted).length);
    }),
  );
  fc.assert(
    fc.property(plain, (value) => {
      assert.equal(masked({ value: [1] }), { value: [1] });
      if (typeof value !== 'object') assert.is(masked(value), value);
    }),
  );
});

test.run();
