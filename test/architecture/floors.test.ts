import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { circles, forbiddenImports, impurities, longFiles, MAX_LINES, strangers } from './floors.ts';
import { importsOf, type Sources } from './imports.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const sources: Sources = Object.fromEntries(
  globSync('{src,actors,machines,brokers,test}/**/*.{ts,tsx}', { cwd: root, exclude: ['**/node_modules/**'] })
    .map((path) => path.split(sep).join('/'))
    .toSorted()
    .map((path) => [path, read(path)]),
);

const tree = suite('the tree');

tree('is read at all', () => {
  for (const floor of ['src/', 'actors/', 'brokers/', 'machines/']) {
    assert.ok(
      Object.keys(sources).some((path) => path.startsWith(floor)),
      floor,
    );
  }
});

tree('has no import against the floors', () => assert.equal(forbiddenImports(sources), []));
tree('has no circle of imports', () => assert.equal(circles(sources), []));
tree('has only pure machines', () => assert.equal(impurities(sources), []));
tree(`has no file above ${MAX_LINES} lines`, () => assert.equal(longFiles(sources), []));
tree('has only the agreed entries at its top', () => {
  assert.equal(strangers(readdirSync(root), read('.gitignore').split('\n')), []);
});

tree.run();

const planted = suite('planted faults');

const FORBIDDEN: readonly (readonly [from: string, specifier: string])[] = [
  ['machines/a.ts', '../brokers/bus.ts'],
  ['machines/a.ts', 'node:crypto'],
  ['machines/a.ts', 'uuidv7'],
  ['brokers/a.ts', '../actors/journal.ts'],
  ['brokers/a.ts', '../src/start.ts'],
  ['actors/a.ts', '../src/gateway/gateway.ts'],
  ['actors/a.ts', 'fastify'],
  ['actors/a.ts', 'node:http'],
  ['src/operations/a.ts', 'node:fs'],
  ['src/operations/a.ts', '../gateway/gateway.ts'],
  ['src/operations/a.ts', '../../actors/journal.ts'],
  ['src/client/a.ts', '../gateway/gateway.ts'],
  ['src/client/a.ts', '../../brokers/bus.ts'],
  ['src/client/a.ts', 'node:fs'],
  ['src/web/a.ts', '../gateway/gateway.ts'],
  ['src/gateway/a.ts', 'xstate'],
  ['src/gateway/a.ts', 'xstate/graph'],
  ['src/commands/a.ts', '../../actors/system.ts'],
  ['src/a.ts', '../test/support/run.ts'],
];

planted('a forbidden import is found', () => {
  for (const [from, specifier] of FORBIDDEN) {
    assert.is(forbiddenImports({ [from]: `import { a } from '${specifier}';` }).length, 1, `${from} ${specifier}`);
  }
});

planted('an import is found in every form', () => {
  const forms = [
    "import { a } from './b.ts';",
    "import type { A } from './b.ts';",
    "import * as a\n  from './b.ts';",
    "import {\n  a, // from 'c'\n  d,\n} from './b.ts';",
    "import './b.ts';",
    "export { a } from './b.ts';",
    "export * from './b.ts';",
    "const a = await import('./b.ts');",
    "type A = import('./b.ts').A;",
  ];
  for (const form of forms)
    assert.equal(
      importsOf('x/a.ts', form).map(({ to }) => to),
      ['x/b.ts'],
      form,
    );
  assert.equal(importsOf('x/a.ts', '// import "./b.ts"\nconst a = "import \'./c.ts\'";'), []);
});

planted('what the floors allow is allowed', () => {
  assert.equal(
    forbiddenImports({
      'machines/a.ts': "import { setup } from 'xstate';\nimport { z } from 'zod';\nimport { b } from './b.ts';",
      'brokers/a.ts': "import { Aedes } from 'aedes';\nimport { b } from '../machines/b.ts';",
      'src/gateway/a.ts': "import { b } from '../../actors/b.ts';\nimport fastify from 'fastify';",
      'src/client/a.ts': "import { b } from '../operations/b.ts';\nimport { c } from '../../machines/c.ts';",
      'test/a.test.ts': "import { b } from '../actors/b.ts';",
    }),
    [],
  );
});

planted('a circle is found, once, within a folder and across', () => {
  const across = {
    'actors/b.ts': "import { c } from './c.ts';",
    'actors/c.ts': "import type { a } from '../src/a.ts';",
    'src/a.ts': "import { b } from '../actors/b.ts';\nimport { d } from './d.ts';",
    'src/d.ts': '',
  };
  assert.equal(circles(across), ['actors/b.ts → actors/c.ts → src/a.ts → actors/b.ts']);
  assert.equal(circles({ 'machines/a.ts': "import { a } from './a.ts';" }), ['machines/a.ts → machines/a.ts']);
  assert.equal(circles({ ...across, 'actors/c.ts': '' }), []);
});

planted('an impure machine is found', () => {
  const faults = [
    'const now = Date.now();',
    'const now = new Date();',
    'const now = Date();',
    'const text = `${new Date().toISOString()}`;',
    'const a = Math.random();',
    'setTimeout(f, 1);',
    'setInterval(f, 1);',
    'const a = process.env;',
    'const a = performance.now();',
    'const a = crypto.randomUUID();',
    "const a = fetch('/');",
    'const a = new Promise(f);',
    'const a = async () => 1;',
    'const a = { after: { 1000: "late" } };',
    'const a = { invoke: { src: "b" } };',
  ];
  for (const fault of faults)
    assert.ok(impurities({ 'machines/a.ts': `\n${fault}` })[0]?.startsWith('machines/a.ts:2 '), fault);
});

planted('a pure machine is let be', () => {
  const source = [
    '// Date.now() is what the host is for; no Promise, no async, no process.env.',
    'const at = new Date(ms).toISOString();',
    "const text = 'await fetch(Math.random())';",
    'const input = z.object({ after: z.number() });',
    'const processed = state.process;',
    'export type Run = (context: Context) => Promise<unknown>;',
  ].join('\n');
  assert.equal(impurities({ 'machines/a.ts': source, 'actors/b.ts': 'Date.now();' }), []);
});

planted('a long file is found', () => {
  const lines = (count: number): string => 'a;\n'.repeat(count);
  assert.equal(longFiles({ 'src/a.ts': lines(MAX_LINES) }), []);
  assert.equal(longFiles({ 'src/a.ts': lines(MAX_LINES + 1) }), ['src/a.ts has 401 lines']);
});

planted('a stranger at the top is found', () => {
  assert.equal(strangers(['src', 'LICENSE', 'dist', 'scripts', 'a.ts'], ['dist/']), ['scripts', 'a.ts']);
});

planted.run();
