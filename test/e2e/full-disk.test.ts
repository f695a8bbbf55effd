import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { can } from '../support/installed.ts';
import { createWorkspace } from '../support/server.ts';
import { holdersOf, mountSmallDisk } from '../support/small-disk.ts';
import { checkReadOnly } from './read-only.ts';

/** Promise 9 on a real file system that is full. */
const test = suite('full disk');

test('a full disk: read-only while it lasts, and well again without a restart', async () => {
  const mounted = can('a full disk', 'a tmpfs may not be mounted', () => mountSmallDisk(48));
  if (mounted === null) return;
  using disk = mounted;
  await using space = createWorkspace();
  const config = space.config({ commands: ['no-op', 'write-artifact'], agents: { threads: 2 } });
  const server = await space.serve({ config, data: join(disk.directory, 'data') });
  const took = await checkReadOnly(server, disk.fill, disk.empty);
  process.stdout.write(`ready again after ${Math.round(took)} ms\n`);
  assert.is(await server.stop(), 0);
  assert.equal(holdersOf(disk.directory), [], 'a server that has ended holds nothing');
});

test.run();
