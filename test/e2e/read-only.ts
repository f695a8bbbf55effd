import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { repliesTopic, requestsTopic } from '../../machines/topic.ts';
import { earOverTcp } from '../support/ears.ts';
import { eventually, type Answer, type Json, type ServerProcess } from '../support/server.ts';
import { startLoad } from './load.ts';
import { checkLog, checkSession } from './log-laws.ts';
import { watchMqtt, watchSse } from './witness.ts';

const assertReadOnly = ({ status, headers, body, text }: Answer): void => {
  assert.equal([status, body?.code], [503, 'read_only'], text);
  assert.ok(Number(headers.get('retry-after')) >= 1, 'Retry-After says when');
};

/** A JSON-RPC request over MQTT; answers the reply. */
const ask = async (server: ServerProcess, own: Json, method: string, params: object): Promise<Json> => {
  const { session_id, client_id } = own;
  const ear = await earOverTcp(server, own, { [repliesTopic(session_id, client_id)]: 0 }, ':rpc');
  ear.publish([requestsTopic(session_id, client_id), JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })]);
  await eventually('a reply', () => ear.heard.length > 0);
  ear.end();
  return ear.heard[0]?.json;
};

const readiness = async (server: ServerProcess): Promise<readonly [status: number, state: string]> => {
  const { status, body } = await server.call('GET', '/readyz', { token: null });
  return [status, body.status];
};

/**
 * Promise 9 on a server whose store fails under load, and its recovery without a restart: `fail` makes every write fail
 * from then on, `mend` ends that. Needs the command `no-op`. Answers how long recovery took, in milliseconds.
 */
export const checkReadOnly = async (
  server: ServerProcess,
  fail: () => Promise<void> | void,
  mend: () => Promise<void> | void,
): Promise<number> => {
  const own = await server.open();
  const session = own.session_id as string;
  const quiet = await server.open();
  const witnesses = [await watchSse(server, session, own.client_token), await watchMqtt(server, own)];
  const load = startLoad(server, session);
  await eventually('load', () => load.accepted.length > 100);
  assert.equal(load.refused, [], 'all is well');

  await fail();
  await eventually('the first refusal', () => load.refused.length > 0);
  await eventually('read only', async () => (await readiness(server))[1] === 'read_only');
  const before = load.accepted.length;
  await eventually('many refusals', () => load.refused.length > 40);
  assert.is(load.accepted.length, before, 'nothing is acknowledged');
  for (const answer of load.refused) assertReadOnly(answer);

  // Nothing that writes, over any binding; what only reads goes on.
  assertReadOnly(await server.execute(quiet.session_id, { command: 'no-op' }, 'wait=10'));
  assertReadOnly(await server.call('POST', '/v1/sessions', { body: { client: { type: 'cli' } } }));
  assertReadOnly(await server.call('POST', `/v1/sessions/${session}/shares`, { body: {} }));
  const { error } = await ask(server, own, 'commands.execute', { command: 'no-op' });
  assert.equal([error?.data?.code, error?.data?.retry_after], ['read_only', 1], JSON.stringify(error));
  const got = await ask(server, own, 'sessions.get', {});
  assert.is(got.result?.session_id, session, JSON.stringify(got.error));
  const ready = await server.call('GET', '/readyz', { token: null });
  assert.equal([ready.status, ready.body.status], [503, 'read_only'], ready.text);
  assert.ok(ready.body.detail.length > 10, ready.text);
  assert.is((await server.call('GET', '/healthz', { token: null })).status, 200);
  assert.is((await server.call('GET', '/v1/sessions')).body.items.length, 2);
  const during: Event[] = await server.events(session);
  checkLog(during, [], []);
  const stream = await watchSse(server, session, own.client_token);
  await eventually('replay', () => stream.seen.length >= during.length);
  stream.end();
  assert.is(load.accepted.length, before, 'still nothing is acknowledged');
  assert.is((await readiness(server))[1], 'read_only', 'and it does not waver');

  const mended = performance.now();
  await mend();
  await eventually('recovery', async () => (await readiness(server))[0] === 200, 15_000);
  const took = performance.now() - mended;
  await eventually('acceptance', () => load.accepted.length > before + 40, 15_000);
  await load.stop();
  const log = await checkSession(server, session, load.accepted, witnesses);
  checkLog(log, during, []);
  for (const { name, seen } of witnesses)
    await eventually(`${name} has heard all, on the connection it had`, () => seen.at(-1)?.seq === log.length);
  for (const witness of witnesses) witness.end();
  assert.is((await server.execute(quiet.session_id, { command: 'no-op' }, 'wait=30')).status, 200);
  assert.not.match(server.stderr(), /"level":(50|60)[^\n]*(restart|ended)/, 'no thread had to be begun anew');
  return took;
};
