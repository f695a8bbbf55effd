import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbeddedBroker, type EmbeddedBroker } from '../../../brokers/embedded.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { eventually, startGateway, type Json, type TestGateway } from '../../support/gateway.ts';

interface Stage {
  on: TestGateway;
  broker: EmbeddedBroker;
  session: Json;
  open: MqttClient[];
}
const test = suite<Stage>('MQTT');

test.before.each(async (context) => {
  const access = createMqttAccess();
  context.broker = await createEmbeddedBroker({ policy: access.policy });
  context.open = [];
  context.on = await startGateway(
    { mqtt: { access, server: context.broker, host: '127.0.0.1', port: 0 }, limits: { inFlight: 3 } },
    context.broker,
  );
  context.session = await context.on.open();
});
test.after.each(async ({ on, open, broker }) => {
  for (const client of open) client.end(true);
  await on.close();
  await broker.close();
});

const dial = async (stage: Stage, options: IClientOptions, url?: string): Promise<MqttClient> => {
  const { host, port } = stage.on.mqtt as { host: string; port: number };
  const client = mqtt.connect(url ?? `mqtt://${host}:${port}`, {
    protocolVersion: 4,
    reconnectPeriod: 0,
    connectTimeout: 10_000,
    ...options,
  });
  stage.open.push(client);
  return new Promise((resolve, reject) => {
    client.once('connect', () => resolve(client));
    client.once('error', reject);
  });
};
const asClient = ({ client_id, client_token }: Json, suffix = ''): IClientOptions => ({
  clientId: client_id + suffix,
  username: client_id,
  password: client_token,
});
const refusedWith = async (stage: Stage, options: IClientOptions): Promise<number> => {
  try {
    await dial(stage, options);
  } catch (error) {
    return (error as { code: number }).code;
  }
  throw new Error('the login was accepted');
};

/** Collects what arrives, parsed. */
const inbox = (client: MqttClient): { topic: string; retain: boolean; json: Json }[] => {
  const all: { topic: string; retain: boolean; json: Json }[] = [];
  client.on(
    'message',
    (topic, payload, { retain }) => void all.push({ topic, retain, json: JSON.parse(payload.toString()) }),
  );
  return all;
};

/** Calls over JSON-RPC; subscribes to the replies once. */
const caller = async (client: MqttClient, { session_id, client_id }: Json) => {
  const base = `arbor/v1/sessions/${session_id}/clients/${client_id}`;
  const replies = inbox(client);
  await client.subscribeAsync(`${base}/replies`, { qos: 1 });
  const send = (payload: unknown) =>
    client.publishAsync(`${base}/requests`, typeof payload === 'string' ? payload : JSON.stringify(payload), {
      qos: 1,
    });
  let next = 0;
  const call = async (method: string, params?: object, id: string | number = (next += 1)): Promise<Json> => {
    const count = replies.length;
    await send({ jsonrpc: '2.0', id, method, params });
    await eventually(`a reply to ${method}`, () => replies.slice(count).some(({ json }) => json.id === id));
    return replies.slice(count).find(({ json }) => json.id === id)?.json;
  };
  return { call, send, replies };
};

test('a login must say the same in all of its fields', async (stage) => {
  const { session, on } = stage;
  const other = await on.open();
  const good = asClient(session);
  const client = await dial(stage, good);
  await dial(stage, asClient(session, ':phone'));
  assert.ok(client.connected);
  for (const wrong of [
    { ...good, password: other.client_token },
    { ...good, username: other.client_id },
    { ...good, clientId: other.client_id },
    { ...good, clientId: `${session.client_id}x` },
    { ...good, clientId: 'op:1' },
    { ...good, password: on.owner },
    { clientId: 'x' },
    { ...good, will: { topic: 'a', payload: Buffer.from('b'), qos: 0 as const, retain: false } },
    { clientId: 'op:1', username: 'alice', password: on.owner },
    { clientId: 'op:1', username: 'alice', password: on.operator.key },
    { clientId: 'root', username: 'root', password: on.operator.key },
  ])
    assert.is(await refusedWith(stage, wrong), 5, JSON.stringify({ ...wrong, password: '' }));
  await dial(stage, { clientId: 'op:1', username: 'root', password: on.operator.key });
});

test('each filter lies within a right of its own', async (stage) => {
  const { session, on } = stage;
  const other = await on.open();
  const client = await dial(stage, asClient(session));
  const base = `arbor/v1/sessions/${session.session_id}`;
  const may = async (filter: string): Promise<boolean> => {
    const [grant] = await client.subscribeAsync(filter, { qos: 1 }).catch((): { qos: number }[] => [{ qos: 128 }]);
    return grant?.qos !== 128;
  };
  for (const filter of [
    `${base}/events/#`,
    `${base}/events/+/+`,
    `${base}/events/client_left/+`,
    `${base}/state`,
    `${base}/clients/${session.client_id}/can`,
    `${base}/clients/${session.client_id}/replies`,
  ])
    assert.is(await may(filter), true, filter);
  for (const filter of [
    '#',
    '+/#',
    'arbor/#',
    `${base}/#`,
    `${base}/+`,
    `${base}/clients/#`,
    `${base}/clients/+/replies`,
    `${base}/clients/${session.client_id}/#`,
    `${base}/clients/${session.client_id}/requests`,
    `arbor/v1/sessions/${other.session_id}/events/#`,
    `arbor/v1/sessions/+/events/#`,
    `arbor/v1/sessions/+/state`,
    `${base}/clients/${other.client_id}/replies`,
    'arbor/v1/actors/#',
    '$SYS/#',
    `$share/g/${base}/events/#`,
  ])
    assert.is(await may(filter), false, filter);
});

test('a client hears the events of its session and of no other', async (stage) => {
  const { session, on } = stage;
  const client = await dial(stage, asClient(session));
  const heard = inbox(client);
  await client.subscribeAsync(session.event_channel, { qos: 1 });
  const other = await on.open();
  await on.call('POST', `/v1/sessions/${other.session_id}/commands`, { body: { command: 'work' } });
  const { body } = await on.call('POST', `/v1/sessions/${session.session_id}/commands`, { body: { command: 'work' } });
  await eventually('it started', () => heard.some(({ json }) => json.type === 'execution_started'));
  assert.ok(heard.every(({ json, retain }) => json.session_id === session.session_id && !retain));
  const queued = heard.find(({ json }) => json.type === 'execution_queued');
  assert.is(queued?.topic, `arbor/v1/sessions/${session.session_id}/events/execution_queued/${body.execution_id}`);
});

test('publishing anywhere else closes the connection', async (stage) => {
  const { session } = stage;
  const base = `arbor/v1/sessions/${session.session_id}`;
  for (const [topic, retain] of [
    [`${base}/events/session_closed/x`, false],
    [`${base}/clients/${session.client_id}/replies`, false],
    [`${base}/clients/${session.client_id}/requests`, true],
    [`arbor/v1/actors/1/${session.session_id}/session/${session.session_id}`, false],
  ] as const) {
    const client = await dial(stage, asClient(session));
    client.on('error', () => {});
    client.publish(topic, '{}', { retain, qos: 0 });
    await eventually('it is closed', () => !client.connected);
  }
});

test('JSON-RPC does what HTTP does', async (stage) => {
  const { session, on } = stage;
  const { call } = await caller(await dial(stage, asClient(session)), session);
  const state = await call('sessions.get');
  assert.is(state.jsonrpc, '2.0');
  assert.is(state.result.session_id, session.session_id);
  assert.is((await call('sessions.list')).result.items.length, 1);
  const accepted = await call('commands.execute', { command: 'work', args: { n: 2 } });
  assert.is(accepted.result.status, 'pending');
  const { execution_id } = accepted.result;
  const waiting = call('executions.get', { execution_id, wait: 30 });
  await eventually('it waits', async () => (await on.call('GET', '/metrics')).text.includes('\narbor_waiters 1'));
  on.system.complete(execution_id, 'done');
  assert.is((await waiting).result.result, 'done');
  assert.ok((await call('events.list', { after: 1 })).result.events.length > 3);
  assert.is((await call('commands.list')).result.items.length, 4);
  const registered = await call('clients.register', { client_type: 'web' });
  assert.match(registered.result.client_token, /^cli_/);
});

test('problems are JSON-RPC errors with the problem as data', async (stage) => {
  const { session, on } = stage;
  const other = await on.open();
  const { call, send, replies } = await caller(await dial(stage, asClient(session)), session);
  const expect = async (answer: Promise<Json>, code: number, name: string) => {
    const { error } = await answer;
    assert.is(error.code, code);
    assert.is(error.data.code, name);
  };
  await expect(call('nothing.here'), -32601, 'method_not_found');
  await expect(call('sessions.create', { client_type: 'cli' }), -32601, 'method_not_found');
  await expect(call('toString'), -32601, 'method_not_found');
  await expect(call('commands.execute', { command: 'work', args: { n: 'x' } }), -32602, 'invalid_input');
  await expect(call('sessions.get', { session_id: other.session_id }), -32000, 'not_found');
  await expect(call('commands.execute', { command: 'rm' }), -32000, 'unknown_command');
  for (const [payload, code, id] of [
    ['{', -32700, null],
    ['\u00ff', -32700, null],
    [[{ jsonrpc: '2.0', id: 1, method: 'sessions.get' }], -32600, null],
    [{ jsonrpc: '2.0', method: 'sessions.get' }, -32600, null],
    [{ jsonrpc: '2.0', id: 1.5, method: 'sessions.get' }, -32600, null],
    [{ jsonrpc: '1.0', id: 8, method: 'sessions.get' }, -32600, 8],
    [{ jsonrpc: '2.0', id: 8 }, -32600, 8],
    [{ jsonrpc: '2.0', id: 8, method: 'sessions.get', params: [1] }, -32600, 8],
  ] as const) {
    const count = replies.length;
    await send(payload);
    await eventually('a reply', () => replies.length > count);
    assert.is(replies[count]?.json.error.code, code, JSON.stringify(payload));
    assert.is(replies[count]?.json.id, id);
  }
});

test('a repeated request id is answered alike, and runs once', async (stage) => {
  const { session, on } = stage;
  const { call } = await caller(await dial(stage, asClient(session)), session);
  const first = await call('commands.execute', { command: 'work' }, 'r1');
  const again = await call('commands.execute', { command: 'work' }, 'r1');
  assert.equal(again.result, first.result);
  assert.is(on.system.runs.size, 1);
  assert.is(on.system.reserved.size, 1);
  const made = await call('clients.register', { client_type: 'web' }, 'r2');
  const repeated = await call('clients.register', { client_type: 'web' }, 'r2');
  assert.is(repeated.result.client_id, made.result.client_id);
  assert.not.ok('client_token' in repeated.result, 'shown once');
  assert.is(
    await call('commands.execute', { command: 'work' }, 1).then(
      ({ result }) => result.execution_id === first.result.execution_id,
    ),
    false,
  );
});

test('too many requests in flight are refused, not queued', async (stage) => {
  const { session, on } = stage;
  const { call, send, replies } = await caller(await dial(stage, asClient(session)), session);
  const { execution_id } = (await call('commands.execute', { command: 'work' })).result;
  for (const id of ['a', 'b', 'c', 'd'])
    await send({ jsonrpc: '2.0', id, method: 'executions.get', params: { execution_id, wait: 60 } });
  await eventually('the fourth is refused', () => replies.some(({ json }) => json.id === 'd'));
  assert.is(replies.find(({ json }) => json.id === 'd')?.json.error.data.code, 'overloaded');
  on.system.complete(execution_id, null);
  await eventually('the others are answered', () => replies.filter(({ json }) => 'abc'.includes(json.id)).length === 3);
  assert.is((await call('sessions.get')).result.status, 'active');
});

test('state and can come with the subscription and follow changes', async (stage) => {
  const { session, on } = stage;
  const client = await dial(stage, asClient(session));
  const heard = inbox(client);
  const can = `arbor/v1/sessions/${session.session_id}/clients/${session.client_id}/can`;
  await client.subscribeAsync([session.state_channel, can], { qos: 1 });
  await eventually('both', () => heard.length >= 2);
  const first = (topic: string) => heard.find((each) => each.topic === topic);
  assert.is(first(session.state_channel)?.retain, true);
  assert.is(first(session.state_channel)?.json.status, 'active');
  assert.equal(first(can)?.json.commands, ['help', 'work', 'shell', 'export']);
  assert.ok(first(can)?.json.operations.includes('commands.execute'));
  const { body } = await on.call('POST', `/v1/sessions/${session.session_id}/commands`, { body: { command: 'work' } });
  const states = () => heard.filter(({ topic, retain }) => topic === session.state_channel && !retain);
  await eventually('it is seen running', () =>
    states().some(({ json }) =>
      json.executions.some((each: Json) => each.execution_id === body.execution_id && each.status === 'running'),
    ),
  );
  on.system.complete(body.execution_id, null);
  await eventually('and gone', () => states().at(-1)?.json.executions.length === 0);
  const { actor } = on.system.readCounts;
  await client.unsubscribeAsync([session.state_channel, can]);
  for (let n = 0; n < 20; n++)
    await on.call('POST', `/v1/sessions/${session.session_id}/commands`, { body: { command: 'work' } });
  assert.is(on.system.readCounts.actor, actor, 'nobody subscribes, nothing is computed');
});

test('many changes are few publications of state', async (stage) => {
  const { session, on } = stage;
  const client = await dial(stage, asClient(session));
  const heard = inbox(client);
  await client.subscribeAsync(session.state_channel, { qos: 1 });
  await eventually('the first', () => heard.length === 1);
  const started = performance.now();
  const calls = Array.from({ length: 100 }, () =>
    on.call('POST', `/v1/sessions/${session.session_id}/commands`, { body: { command: 'work' } }),
  );
  await Promise.all(calls);
  await eventually('the last', () => heard.at(-1)?.json.executions.length === 100);
  const tenths = Math.ceil((performance.now() - started) / 100);
  assert.ok(heard.length <= tenths + 3, `${heard.length} publications in ${tenths} tenths of a second`);
});

test('a client that is cut hears why, is disconnected, and cannot come back', async (stage) => {
  const { session, on } = stage;
  const [one, two] = await Promise.all([dial(stage, asClient(session)), dial(stage, asClient(session, ':2'))]);
  const heard = inbox(one);
  await one.subscribeAsync(session.event_channel, { qos: 1 });
  await on.call('DELETE', `/v1/sessions/${session.session_id}/clients/${session.client_id}`);
  await eventually('both are closed', () => !one.connected && !two.connected);
  assert.is(heard.at(-1)?.json.type, 'client_left');
  assert.is(await refusedWith(stage, asClient(session)), 5);
});

test('a call that ends the caller’s own right is answered all the same', async (stage) => {
  const { session, on } = stage;
  const left = await caller(await dial(stage, asClient(session)), session);
  assert.is((await left.call('clients.leave', { client_id: session.client_id })).result.status, 'left');
  const other = await on.open();
  const client = await dial(stage, asClient(other));
  const closed = await caller(client, other);
  assert.is((await closed.call('sessions.close')).result.status, 'closed');
  await eventually('it is disconnected', () => !client.connected);
});

test('presence follows the last of a client’s connections', async (stage) => {
  const { session, on } = stage;
  const status = async () => (await on.call('GET', `/v1/sessions/${session.session_id}/clients`)).body.items[0].status;
  assert.is(await status(), 'attaching');
  const one = await dial(stage, asClient(session));
  const two = await dial(stage, asClient(session, ':2'));
  await eventually('attached', async () => (await status()) === 'attached');
  await one.endAsync();
  on.system.advance(3_600_000);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  assert.is(await status(), 'attached');
  await two.endAsync();
  await eventually('its connection is gone', async () =>
    (await on.call('GET', '/metrics')).text.includes('\narbor_mqtt_connections 0'),
  );
  on.system.advance(61_000);
  await eventually('detached', async () => (await status()) === 'detached');
});

test('an operator reads inboxes and publishes nothing', async (stage) => {
  const { session, on } = stage;
  const operator = await dial(stage, { clientId: 'op:1', username: 'root', password: on.operator.key });
  operator.on('error', () => {});
  const granted = async (filter: string) =>
    (await operator.subscribeAsync(filter).catch((): { qos: number }[] => [{ qos: 128 }]))[0]?.qos !== 128;
  assert.is(await granted('arbor/v1/actors/+/+/+/+'), true);
  assert.is(await granted('arbor/v1/inspect/#'), true);
  assert.is(await granted(session.event_channel), false);
  assert.ok(on.lines.some((line) => line.includes('an operator subscribes') && line.includes('inspect')));
  operator.publish('arbor/v1/actors/1/a/b/c', '{}');
  await eventually('it is closed', () => !operator.connected);
});

test('MQTT over WebSocket is on the HTTP server', async (stage) => {
  const { session, on } = stage;
  const client = await dial(stage, asClient(session), `${on.url.replace('http', 'ws')}/mqtt`);
  const { call } = await caller(client, session);
  assert.is((await call('sessions.get')).result.session_id, session.session_id);
});

test('closing ends streams, long-polls and sockets without waiting for them', async (stage) => {
  const { session, on } = stage;
  const client = await dial(stage, asClient(session), `${on.url.replace('http', 'ws')}/mqtt`);
  const path = `/v1/sessions/${session.session_id}`;
  const { body } = await on.call('POST', `${path}/commands`, { body: { command: 'work' } });
  const polled = on.call('GET', `${body.poll_url}?wait=60`);
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${on.owner}` };
  const stream = await fetch(`${on.url}${path}/events`, { headers });
  await eventually('both are open', async () => (await on.call('GET', '/metrics')).text.includes('\narbor_streams 2'));
  await on.gateway.close(60_000);
  assert.is((await polled).body.status, 'running');
  await stream.text();
  await eventually('it is disconnected', () => !client.connected);
});

test.run();
