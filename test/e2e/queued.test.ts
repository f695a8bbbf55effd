// limit: 180 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createWorkspace, eventually } from '../support/server.ts';

/** What was queued when the process died (promises 1 and 5). */
const test = suite('queued over a crash');

test('what was queued runs by priority, and what nobody can run any more fails', async () => {
  await using space = createWorkspace();
  const agents = { threads: 1 };
  const server = await space.serve({ config: space.config({ commands: ['slow', 'no-op'], agents }) });
  const { session_id } = await server.open();
  const accept = async (body: object): Promise<string> => {
    const { status, body: accepted, text } = await server.execute(session_id, body);
    assert.is(status, 202, text);
    return accepted.execution_id as string;
  };
  const endless = await accept({ command: 'slow', args: { ms: 600_000 }, timeout: 600 });
  await eventually('the start', async () =>
    (await server.events(session_id)).some(({ type }) => type === 'execution_started'),
  );
  // Fewer than it takes for a lower one to have its turn.
  const priorities = [0, 5, 1, 9, 3, 7];
  const byPriority: [priority: number, execution: string][] = [];
  for (const priority of priorities)
    byPriority.push([priority, await accept({ command: 'slow', args: { ms: 1 }, priority })]);
  const gone = await accept({ command: 'no-op' });
  const { length: seq } = await server.events(session_id);
  const begun = new Set(
    (await server.events(session_id))
      .filter(({ type }) => type === 'execution_started')
      .map(({ data }) => data['execution_id']),
  );
  await server.kill();

  const next = await space.serve({ config: space.config({ commands: ['slow'], agents }) });
  await next.call('DELETE', `/v1/executions/${endless}`);
  const started = async () =>
    (await next.events(session_id, seq))
      .filter(({ type }) => type === 'execution_started')
      .map(({ data }) => data['execution_id']);
  const expected = byPriority
    .filter(([, execution]) => !begun.has(execution))
    .toSorted(([a], [b]) => b - a)
    .map(([, execution]) => execution);
  assert.ok(expected.length > 4);
  await eventually('all have started', async () => {
    const ids = new Set(await started());
    return expected.every((execution) => ids.has(execution));
  });
  assert.equal(
    (await started()).filter((execution) => expected.includes(execution as string)),
    expected,
  );
  await eventually('the end of what is gone', async () => {
    const { body } = await next.call('GET', `/v1/executions/${gone}`);
    return body.status === 'failed' && body.error.code === 'unknown_command';
  });
});

test.run();
