// limit: 180 s
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createWorkspace, eventually, type Json, type ServerProcess } from '../support/server.ts';

/** What retention removes from a running server, seen through HTTP (contract, section 2; promises 4 and 15). */
const test = suite('retention');

/** Seconds; enough for all that is done before anything goes. */
const RETENTION = 8;

const artifact = { command: 'write-artifact', args: { name: 'report.txt', text: 'for a while' } };

const statusOf = async (server: ServerProcess, path: string, token?: string): Promise<number> =>
  (await server.call('GET', path, token === undefined ? {} : { token })).status;

test('what has ended goes, what lives goes on, and the audit stays valid', async () => {
  await using space = createWorkspace();
  const config = space.config({
    commands: ['no-op', 'slow', 'write-artifact'],
    agents: { threads: 2 },
    retention: RETENTION,
    audit_retention: RETENTION,
  });
  let server = await space.serve({ config });
  const open: Json = await server.open();
  const closed: Json = await server.open();
  const session: string = open.session_id;
  const run = async (of: string, body: object): Promise<string> => {
    const { status, body: ended, text } = await server.execute(of, body, 'wait=30');
    assert.equal([status, ended.status], [200, 'completed'], text);
    return ended.execution_id as string;
  };
  const old = await run(session, artifact);
  const keyed = { command: 'no-op', args: { value: 1 }, idempotency_key: 'k' };
  const repeated = await run(session, keyed);
  const inClosed = await run(closed.session_id, artifact);
  const running: Json = (await server.execute(session, { command: 'slow', args: { ms: 60_000 } })).body;
  const [gone, other] = await Promise.all(
    [1, 2].map(async () => (await server.call('POST', `/v1/sessions/${session}/shares`, { body: {} })).body),
  );
  await server.call('DELETE', `/v1/shares/${gone.share_id}`);
  await server.call('DELETE', `/v1/sessions/${closed.session_id}`);
  const { seq } = (await server.call('GET', `/v1/sessions/${session}`)).body;
  const { head } = (await server.call('GET', '/v1/audit/verify')).body;
  const paths = [
    `/v1/sessions/${closed.session_id}`,
    `/v1/sessions/${closed.session_id}/events`,
    `/v1/sessions/${closed.session_id}/executions`,
    `/v1/executions/${inClosed}`,
    `/v1/executions/${inClosed}/artifacts/report.txt`,
    `/v1/executions/${old}`,
    `/v1/executions/${old}/artifacts/report.txt`,
  ];
  for (const path of paths) assert.is(await statusOf(server, path), 200, path);
  const directories = [old, inClosed].map((id) => join(server.data, 'artifacts', id));
  for (const directory of directories) assert.is(existsSync(directory), true);

  await eventually('all that has ended is gone', async () => {
    const found = await Promise.all(paths.map((path) => statusOf(server, path)));
    const { first } = (await server.call('GET', '/v1/audit/verify')).body;
    return found.every((status) => status === 404) && first !== undefined;
  });
  await eventually('its artifacts too', () => directories.every((directory) => !existsSync(directory)));

  const check = async (): Promise<void> => {
    // As unknown as what never was.
    const unknown = await server.call('GET', `/v1/sessions/ses_${'0'.repeat(26)}`);
    const answer = await server.call('GET', `/v1/sessions/${closed.session_id}`);
    assert.equal([answer.status, answer.body], [unknown.status, unknown.body]);
    assert.is(await statusOf(server, `/v1/sessions/${session}`, closed.client_token), 401);
    const late = await server.execute(closed.session_id, { command: 'no-op' });
    assert.is(late.status, 404, late.text);
    assert.is((await server.call('DELETE', `/v1/sessions/${closed.session_id}`)).status, 404);
    const { items } = (await server.call('GET', '/v1/sessions')).body;
    assert.equal(
      items.map(({ session_id }: Json) => session_id),
      [session],
    );
    assert.is((await server.call('DELETE', `/v1/shares/${gone.share_id}`)).status, 404);
    assert.is(await statusOf(server, `/v1/sessions/${session}`, open.client_token), 200);

    // A cursor from before, over each binding of `events.list`.
    const expired = await server.call('GET', `/v1/sessions/${session}/events?after=0`);
    assert.equal([expired.status, expired.body.code], [410, 'cursor_expired']);
    const { first } = expired.body as { first: number };
    assert.ok(first > 1 && first <= seq + 1, `first ${first} of ${seq}`);
    const stream = await server.call('GET', `/v1/sessions/${session}/events`, {
      headers: { accept: 'text/event-stream', 'last-event-id': '1' },
    });
    assert.equal([stream.status, stream.body.first], [410, first]);
    const events = await server.events(session, first - 1);
    assert.equal(
      events.map((event) => event.seq),
      events.map((_, index) => first + index),
    );
    const { valid, first: record } = (await server.call('GET', `/v1/audit/verify?head=${head}`)).body;
    assert.is(valid, true);
    assert.ok(record > 1);
  };
  await check();

  // What lives is used on, in the memory where it was all the time.
  assert.is((await server.call('GET', `/v1/executions/${running.execution_id}`)).body.status, 'running');
  await run(session, { command: 'no-op' });
  const again = await server.execute(session, keyed, 'respond-async');
  assert.is(again.status, 202, again.text);
  const joined = await server.call('POST', '/v1/join', {
    token: null,
    body: { token: other.token, client: { type: 'web' } },
  });
  assert.is(joined.status, 201, joined.text);
  const watching = space.arbor(['watch', session, '--url', server.http, '--data', server.data, '--until-closed']);
  await watching.said('client_joined');
  const metrics = await server.call('GET', '/metrics', { token: null });
  assert.match(metrics.text, /arbor_pruned_total\{what="sessions"\} 1\n/);

  await server.kill();
  server = await space.serve({ config });
  await check();
  assert.is(await statusOf(server, `/v1/executions/${repeated}`), 404);
  const { body: cancelled } = await server.call('DELETE', `/v1/executions/${running.execution_id}`);
  assert.is(cancelled.status, 'cancelled');
  assert.is((await server.call('DELETE', `/v1/sessions/${session}`)).body.status, 'closed');
  await eventually('the last session is gone', async () => (await statusOf(server, `/v1/sessions/${session}`)) === 404);
  assert.equal((await server.call('GET', '/v1/sessions')).body.items, []);
  assert.is(await server.stop(), 0);
});

test.run();
