import { globSync, readFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Sources } from './imports.ts';
import { pathToPackage } from './reach.ts';

const root = resolve(import.meta.dirname, '../..');
const sources: Sources = Object.fromEntries(
  globSync('{actors,brokers,machines}/**/*.ts', { cwd: root })
    .map((path) => path.split(sep).join('/'))
    .map((path) => [path, readFileSync(join(root, path), 'utf8')]),
);

const threads = suite('the threads of shards and of the journal');

/** What they take was checked at the edge, and each such thread would pay for zod in memory and at its start. */
const WITHOUT_ZOD = [
  'actors/shard-worker.ts',
  'machines/catalogue.ts',
  'actors/journal-thread.ts',
  'actors/sqlite-checkpoint-thread.ts',
];

for (const entry of WITHOUT_ZOD) {
  threads(`${entry} does not load zod`, () => {
    assert.ok(entry in sources, `${entry} is there`);
    assert.is(pathToPackage(sources, entry, 'zod')?.join(' → '), undefined);
  });
}

threads('load what they need, as the walk sees it', () => {
  assert.equal(pathToPackage(sources, 'machines/catalogue.ts', 'xstate')?.at(-1), 'xstate');
  assert.equal(pathToPackage(sources, 'actors/journal-thread.ts', 'node:sqlite')?.at(-1), 'node:sqlite');
});

threads.run();

const planted = suite('planted paths');

const reached = (files: Sources): string | undefined => pathToPackage(files, 'a.ts', 'zod')?.join(' → ');

planted('a package is found behind every form of import that stays', () => {
  for (const form of [
    "import { z } from 'zod';",
    "import * as z from 'zod/mini';",
    "import { type ZodType } from 'zod';",
    "import type, { z } from 'zod';",
    "import type from 'zod';",
    "import 'zod';",
    "export { z } from 'zod';",
    "const { z } = await import('zod');",
  ])
    assert.ok(reached({ 'a.ts': "export * from './b.ts';", 'b.ts': form })?.startsWith('a.ts → b.ts → zod'), form);
});

planted('the shortest path is told, and a circle ends', () => {
  const files = {
    'a.ts': "import './b.ts';\nimport './d.ts';",
    'b.ts': "import './c.ts';",
    'c.ts': "import './d.ts';\nimport './a.ts';",
    'd.ts': "import 'zod';",
  };
  assert.is(reached(files), 'a.ts → d.ts → zod');
  assert.is(reached({ ...files, 'd.ts': '' }), undefined);
});

planted('types, and other packages, are let be', () => {
  for (const form of [
    "import type { z } from 'zod';",
    "import type * as z from 'zod';",
    "export type { ZodType } from 'zod';",
    "import type { B } from './b.ts';",
    "import { z } from 'zodiac';",
    "// import 'zod';",
  ])
    assert.is(reached({ 'a.ts': form, 'b.ts': "import 'zod';" }), undefined, form);
});

planted.run();
