import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ConfigError } from '../../src/config/config-error.ts';
import { ensureDataDirectory } from '../../src/data-directory.ts';

const test = suite('data directory');

const refused = async (directory: string): Promise<void> => {
  try {
    await ensureDataDirectory(directory);
  } catch (error) {
    assert.instance(error, ConfigError);
    assert.match((error as Error).message, /^--data: /);
    return;
  }
  assert.unreachable(`${directory} was taken`);
};

test('is made with its parents, private, and ignored by Git; a second time it is as it was', async () => {
  const base = await mkdtemp(join(tmpdir(), 'arbor-test-'));
  const directory = join(base, 'a', 'b');
  await ensureDataDirectory(directory);
  await ensureDataDirectory(directory);
  assert.is((await stat(directory)).mode & 0o777, 0o700);
  assert.is(await readFile(join(directory, '.gitignore'), 'utf8'), '*\n');
  await rm(base, { recursive: true });
});

test('what cannot be one is refused under its flag, at once', async () => {
  const base = await mkdtemp(join(tmpdir(), 'arbor-test-'));
  const file = join(base, 'file');
  await writeFile(file, '');
  await refused(file);
  await refused(join(file, 'below'));
  // Node's own recursive mkdir does not end here.
  if (process.platform === 'linux') await refused('/proc/arbor');
  await rm(base, { recursive: true });
});

test.run();
