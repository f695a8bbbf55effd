import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createWorkspace, eventually, type ServerProcess } from '../support/server.ts';
import { startLoad } from './load.ts';
import { checkSession, listExecutions } from './log-laws.ts';
import { watchMqtt, watchSse } from './witness.ts';

/** SIGTERM under load: readiness goes first, handlers have their time, and nothing that was accepted is lost. */
const test = suite('draining');

const running = async (server: ServerProcess, session: string, ms: number): Promise<string> => {
  const { body } = await server.execute(session, { command: 'slow', args: { ms } });
  await eventually(
    'the start of a handler',
    async () => (await server.call('GET', `/v1/executions/${body.execution_id}`)).body.status === 'running',
  );
  return body.execution_id;
};

test('SIGTERM under load: not ready at once, handlers and their callers have their answers, 0, and nothing is lost', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['no-op', 'slow'], agents: { threads: 2 }, limits: { drain: 20 } });
  const server = await space.serve({ config });
  const own = await server.open();
  const session = own.session_id as string;
  const witnesses = [await watchSse(server, session, own.client_token), await watchMqtt(server, own)];
  const load = startLoad(server, session);
  await eventually('load', () => load.accepted.length > 30);
  const slow = await running(server, session, 2_500);
  const waiting = server.call('GET', `/v1/executions/${slow}?wait=30`);

  server.child.kill('SIGTERM');
  await eventually('the first refusal', () => load.refused.length > 0);
  const ready = await server.call('GET', '/readyz', { token: null });
  assert.equal([ready.status, ready.body.status], [503, 'draining'], ready.text);
  assert.ok(Number(ready.headers.get('retry-after')) >= 1);
  assert.is((await server.call('GET', '/healthz', { token: null })).status, 200);
  assert.is((await server.call('GET', `/v1/sessions/${session}`)).status, 200);
  const refused = await server.execute(session, { command: 'no-op' });
  assert.equal([refused.status, refused.body.code], [503, 'unavailable'], refused.text);
  for (const { status, body, text } of load.refused) assert.equal([status, body.code], [503, 'unavailable'], text);
  const stopped = load.stop();
  stopped.catch(() => undefined);
  const { body, text } = await waiting;
  assert.is(body.status, 'completed', text);
  await stopped;
  assert.is((await server.ended()).code, 0);
  await Promise.all(witnesses.map(({ over }) => over));
  for (const { name, seen } of witnesses)
    assert.ok(
      seen.some(({ type, data }) => type === 'execution_completed' && data['execution_id'] === slow),
      `${name} heard of the end`,
    );

  const next = await space.serve({ config });
  await checkSession(next, session, load.accepted, witnesses);
  const attempts = (await listExecutions(next, session)).filter(({ attempts: count }) => count !== 1);
  assert.equal(attempts, [], 'no handler was interrupted');
  assert.is(await next.stop(), 0);
});

test('a second signal does not wait, and loses nothing either', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['slow', 'no-op'], agents: { threads: 2 }, limits: { drain: 60 } });
  const server = await space.serve({ config });
  const { session_id: session } = await server.open();
  const slow = await running(server, session, 60_000);
  server.child.kill('SIGTERM');
  await eventually(
    'draining',
    async () => (await server.call('GET', '/readyz', { token: null })).body.status === 'draining',
  );
  server.child.kill('SIGINT');
  assert.is((await server.ended()).code, 130);
  const next = await space.serve({ config });
  const { body } = await next.call('GET', `/v1/executions/${slow}`);
  assert.ok(['queued', 'running', 'retrying'].includes(body.status), body.status);
  await next.kill();
});

test.run();
