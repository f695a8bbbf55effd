import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { argumentValue, mapArguments, positionalNames } from '../../../src/cli/arguments.ts';

const test = suite('arguments');

const schemaOf = (schema: z.ZodType): Record<string, unknown> => z.toJSONSchema(schema, { io: 'input' });

const SCHEMA = schemaOf(
  z.object({
    path: z.string().default('.'),
    max_depth: z.int().optional(),
    pattern: z.string(),
    deep: z.boolean().optional(),
    options: z.record(z.string(), z.unknown()).optional(),
    files: z.array(z.string()).optional(),
  }),
);

const map = (words: readonly string[], pairs?: readonly string[]) => {
  const mapped = mapArguments('search', SCHEMA, words, pairs);
  if (!mapped.ok) throw new Error(mapped.message);
  return mapped.args;
};
const wrong = (words: readonly string[], schema: Record<string, unknown> = SCHEMA): string => {
  const mapped = mapArguments('search', schema, words);
  return mapped.ok ? 'nothing is wrong' : mapped.message;
};

test('words without a name fill the required arguments first, then the others in order', () => {
  assert.equal(positionalNames(SCHEMA).slice(0, 3), ['pattern', 'path', 'max_depth']);
  assert.equal(map(['x', 'src', '3']), { pattern: 'x', path: 'src', max_depth: 3 });
});

test('the first argument of a command whose arguments are all optional', () => {
  const mapped = mapArguments('analyze', schemaOf(z.object({ path: z.string().default('.') })), ['.']);
  assert.equal(mapped, { ok: true, args: { path: '.' } });
});

test('a last argument that is an array takes the rest', () => {
  assert.equal(map(['x', 'src', '3', 'true', '{}', 'a', 'b']), {
    pattern: 'x',
    path: 'src',
    max_depth: 3,
    deep: true,
    options: {},
    files: ['a', 'b'],
  });
});

test('options by name, with and without =, hyphens for underscores', () => {
  assert.equal(map(['--pattern', 'x', '--max-depth=2', '--max_depth', '4']), { pattern: 'x', max_depth: 4 });
});

test('a name given by option is not filled again', () => {
  assert.equal(map(['src', '--pattern', 'x']), { pattern: 'x', path: 'src' });
});

test('flags', () => {
  assert.equal(map(['--deep', 'x']), { deep: true, pattern: 'x' });
  assert.equal(map(['--no-deep', 'x']), { deep: false, pattern: 'x' });
  assert.equal(map(['--deep', 'false', 'x']), { deep: false, pattern: 'x' });
});

test('JSON where it is wanted, text where text is wanted', () => {
  assert.equal(map(['x', '--options', '{"a":[1]}', '--files', '["a"]', '--files', 'b']), {
    pattern: 'x',
    options: { a: [1] },
    files: ['a', 'b'],
  });
  assert.equal(map(['5', '--path', '{"a":1}']), { pattern: '5', path: '{"a":1}' });
});

test('negative numbers, a dash and what follows -- are no options', () => {
  assert.equal(map(['-5', '-', '--max-depth', '-1']), { pattern: '-5', path: '-', max_depth: -1 });
  assert.equal(map(['--deep', '--', '--x']), { deep: true, pattern: '--x' });
});

test('pairs reach names that are options of the program itself', () => {
  assert.equal(map([], ['pattern=a=b', 'max_depth=3']), { pattern: 'a=b', max_depth: 3 });
});

test('what is wrong is named', () => {
  assert.match(wrong(['--nothing', 'x']), '"nothing"');
  assert.match(wrong(['--nothing']), 'pattern, path');
  assert.match(wrong(['-x']), '"-x"');
  assert.match(wrong(['--path']), '--path wants a value');
  assert.match(wrong(['--path', '--deep']), '--path wants a value');
  assert.match(wrong(['a', 'b'], schemaOf(z.object({ path: z.string() }))), '"b"');
  assert.match(wrong(['a'], schemaOf(z.strictObject({}))), 'none');
});

test('a command that names no arguments takes all', () => {
  const schema = schemaOf(z.record(z.string(), z.unknown()));
  assert.equal(mapArguments('any', schema, ['--a', '1', '--b', 'x', '--c']), {
    ok: true,
    args: { a: 1, b: 'x', c: true },
  });
});

test('a name like any other cannot reach the prototype', () => {
  const mapped = mapArguments('any', {}, ['--__proto__', '{"polluted":true}']);
  assert.ok(mapped.ok);
  assert.equal(Object.keys((mapped as { args: object }).args), ['__proto__']);
  assert.is(({} as { polluted?: boolean }).polluted, undefined);
});

test('any JSON value comes through where the schema allows any', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.equal(argumentValue({}, text), JSON.parse(text));
      assert.is(argumentValue({ type: 'string' }, text), text);
    }),
  );
});

test('whatever the words, there is an answer', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.string(), fc.constantFrom('--', '--deep', '--path', '-1', '--no-deep', '--options=', '--=')),
      ),
      (words) => {
        const mapped = mapArguments('search', SCHEMA, words);
        assert.ok(mapped.ok || mapped.message.length > 0);
      },
    ),
  );
});

test.run();
