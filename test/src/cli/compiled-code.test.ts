import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getuid } from 'node:process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { can } from '../../support/installed.ts';
import { createWorkspace } from '../../support/server.ts';

const test = suite<{ cache: string }>('compiled code');

test.before.each((context) => {
  context.cache = mkdtempSync(join(tmpdir(), 'arbor-compiled-'));
});
test.after.each(({ cache }) => rmSync(cache, { recursive: true, force: true }));

const NOBODY = 65_534;
const MODULE = new URL('../../../src/cli/compiled-code.ts', import.meta.url).href;
const SAYS = `
  const { keepCompiledCode } = await import('${MODULE}');
  keepCompiledCode();
  process.stdout.write(process.env.NODE_COMPILE_CACHE ?? 'none');
`;

/** Where code is kept, by a process with this environment. */
const keptBy = (env: Record<string, string>): string => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', SAYS], {
    env,
    encoding: 'utf8',
    timeout: 30_000,
  });
  assert.is(stderr, '');
  return stdout;
};
const directoryIn = (cache: string): string => join(cache, 'arbor-gateway', 'compiled');

if (process.platform === 'linux') {
  test('it is kept for the user alone', ({ cache }) => {
    assert.is(keptBy({ XDG_CACHE_HOME: cache }), directoryIn(cache));
    assert.is(statSync(directoryIn(cache)).mode & 0o777, 0o700);
  });

  test('what others can write to is not run', ({ cache }) => {
    mkdirSync(directoryIn(cache), { recursive: true });
    for (const mode of [0o770, 0o707, 0o720]) {
      chmodSync(directoryIn(cache), mode);
      assert.is(keptBy({ XDG_CACHE_HOME: cache }), 'none', mode.toString(8));
    }
    chmodSync(directoryIn(cache), 0o755);
    assert.is(keptBy({ XDG_CACHE_HOME: cache }), directoryIn(cache));
  });

  const owned = 'what somebody else owns is not run';
  const isRoot = (): true => {
    if (getuid?.() === 0) return true;
    throw new RangeError(`the user is ${getuid?.()}`);
  };
  if (can(owned, 'only root can give a directory away', isRoot) !== null)
    test(owned, ({ cache }) => {
      mkdirSync(directoryIn(cache), { recursive: true, mode: 0o700 });
      chownSync(directoryIn(cache), NOBODY, NOBODY);
      assert.is(keptBy({ XDG_CACHE_HOME: cache }), 'none');
    });

  test('what the environment says goes first, and without a place for it nothing fails', ({ cache }) => {
    const file = join(cache, 'file');
    writeFileSync(file, '');
    assert.is(keptBy({ XDG_CACHE_HOME: file }), 'none');
    assert.is(keptBy({ XDG_CACHE_HOME: cache, NODE_DISABLE_COMPILE_CACHE: '1' }), 'none');
    const own = join(cache, 'own');
    assert.is(keptBy({ XDG_CACHE_HOME: cache, NODE_COMPILE_CACHE: own }), own);
    assert.equal(readdirSync(cache).toSorted(), ['file', 'own']);
  });

  test('a server that is killed has kept what it and its threads run', async ({ cache }) => {
    await using workspace = createWorkspace();
    const server = await workspace.serve({ env: { XDG_CACHE_HOME: cache } });
    await server.call('GET', '/readyz');
    await server.kill();
    const kept = readdirSync(directoryIn(cache), { recursive: true }).length;
    assert.ok(kept > 400, `${kept} files`);
  });
}

test.run();
