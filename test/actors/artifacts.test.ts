import fc from 'fast-check';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactPath, checkArtifactName, writeArtifact } from '../../actors/artifacts.ts';
import { ProblemError } from '../../machines/error.ts';

const test = suite('artifacts');

const isRefused = (name: string): boolean => {
  try {
    checkArtifactName(name);
    return false;
  } catch (error) {
    assert.instance(error, ProblemError);
    assert.is((error as ProblemError).problem.code, 'invalid_input');
    return true;
  }
};

test('refuses names that lead elsewhere or that a file cannot have', () => {
  const bad = [
    '',
    '.',
    '..',
    '../x',
    'a/b',
    'a\\b',
    '/etc/passwd',
    'a..b',
    '.hidden',
    'a\0b',
    'a\nb',
    'x'.repeat(129),
    '界'.repeat(67),
  ];
  for (const name of bad) assert.ok(isRefused(name), JSON.stringify(name));
  assert.ok(isRefused(undefined as never));
  for (const name of ['report.txt', 'a b', 'bericht-ü.csv', 'x'.repeat(128), '-', '~'])
    assert.not(isRefused(name), name);
});

test('whatever name is taken stays in the directory of its execution', () => {
  const units = fc.constantFrom('.', '/', '\\', 'a', ' ', '\0', '😀', '~', '%2e');
  fc.assert(
    fc.property(fc.string({ unit: units, maxLength: 8 }), (name) => {
      if (isRefused(name)) return;
      assert.is(dirname(resolve(artifactPath('/data', 'exe_1', name))), '/data/exe_1');
    }),
  );
  assert.throws(() => artifactPath('/data', '..', 'x'), /not allowed/);
});

test('replaces one of the same name, and leaves nothing beside it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'arbor-artifacts-'));
  await writeArtifact(join(directory, 'artifacts'), 'exe_1', 'a', 'first', 'text/plain');
  const info = await writeArtifact(join(directory, 'artifacts'), 'exe_1', 'a', new Uint8Array([1, 2]), 'x/y');
  assert.is(info.bytes, 2);
  assert.equal([...(await readFile(artifactPath(join(directory, 'artifacts'), 'exe_1', 'a')))], [1, 2]);
  assert.equal(await readdir(join(directory, 'artifacts', 'exe_1')), ['a']);
  await rm(directory, { recursive: true, force: true });
});

test.run();
