import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { failCalls, type FailingCalls } from '../support/failing-calls.ts';
import { hasProgram } from '../support/installed.ts';
import { createWorkspace } from '../support/server.ts';
import { checkReadOnly } from './read-only.ts';

/** Promise 9 where the disk takes what is written and cannot make it durable. */
const test = suite('failing fsync');

test('a failing fsync: read-only while it lasts, and well again without a restart', async () => {
  if (!hasProgram('a failing fsync', 'strace')) return;
  await using space = createWorkspace();
  const server = await space.serve({ config: space.config({ commands: ['no-op'], agents: { threads: 2 } }) });
  await using calls = new AsyncDisposableStack();
  let failing: FailingCalls | null = null;
  const took = await checkReadOnly(
    server,
    async () => {
      failing = calls.use(await failCalls(server.child.pid as number, 'fsync,fdatasync', 'EIO'));
    },
    () => failing?.end(),
  );
  process.stdout.write(`ready again after ${Math.round(took)} ms\n`);
  await server.kill();
  // What was acknowledged after the failure is as durable as what was before it.
  const next = await space.serve();
  assert.is((await next.call('GET', '/readyz')).status, 200);
  assert.is(await next.stop(), 0);
});

test.run();
