// limit: 180 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { repliesTopic, requestsTopic } from '../../machines/topic.ts';
import { CONNECT, dialTcp, publish, subscribe, type WireClient } from '../support/mqtt-wire.ts';
import { createWorkspace, type Json } from '../support/server.ts';

/** What the outside may get wrong over MQTT: it loses its connection, and nobody else notices. */
const test = suite('bad input over MQTT');

const space = createWorkspace();
const server = await space.serve({ config: space.config({ commands: ['no-op'] }) });
const own = await server.open();
const foreign = await server.open();
test.after(async () => space[Symbol.asyncDispose]());

interface Login {
  readonly registration?: Json;
  /** Fields of CONNECT that differ. */
  readonly connect?: object;
}

let suffix = 0;
const dial = async ({ registration = own, connect = {} }: Login = {}): Promise<WireClient> => {
  const client = await dialTcp(server.mqttPort);
  const { client_id, client_token } = registration as Record<string, string>;
  client.send({
    ...CONNECT,
    clientId: `${client_id}:${++suffix}`,
    username: client_id,
    password: client_token,
    ...connect,
  });
  return client;
};
const login = async (options: Login = {}): Promise<WireClient> => {
  const client = await dial(options);
  assert.is((await client.expect('connack'))['returnCode'], 0);
  return client;
};

const requests = requestsTopic(own.session_id, own.client_id);
const replies = repliesTopic(own.session_id, own.client_id);

/** A neighbour of its own client, which must not notice anything. */
const neighbour = await login({ registration: foreign });
const [askThere, hearThere] = [
  requestsTopic(foreign.session_id, foreign.client_id),
  repliesTopic(foreign.session_id, foreign.client_id),
];
await subscribe(neighbour, { [hearThere]: 0 });

const goesOn = async (): Promise<void> => {
  const id = `neighbour-${++suffix}`;
  neighbour.send(publish(askThere, JSON.stringify({ jsonrpc: '2.0', id, method: 'sessions.get', params: {} })));
  const { payload } = await neighbour.expect('publish');
  const reply = JSON.parse(String(payload));
  assert.equal([reply.id, reply.result?.session_id], [id, foreign.session_id]);
  assert.is((await server.call('GET', '/readyz', { token: null })).status, 200);
  const log = await server.events(own.session_id);
  assert.equal(
    log.map(({ seq }) => seq),
    log.map((_, index) => index + 1),
  );
};

const bytes = (...values: (number | string)[]): Uint8Array =>
  Buffer.concat(values.map((value) => (typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from([value]))));

const beforeLogin: Readonly<Record<string, Uint8Array>> = {
  'a request of HTTP': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  zeros: Buffer.alloc(64),
  'SUBSCRIBE first': bytes(0x82, 6, 0, 1, 0, 1, '#', 0),
  'a remaining length of five bytes': bytes(0x10, 0xff, 0xff, 0xff, 0xff, 0x7f),
  'a login beyond 8 KiB': bytes(0x10, 0x80, 0x80, 0x01, 0, 4, 'MQTT', 4, 2, 0, 0),
  'a CONNECT that ends in its middle': bytes(0x10, 6, 0, 4, 'MQTT'),
};
for (const [name, packet] of Object.entries(beforeLogin))
  test(`before the login: ${name}`, async () => {
    const client = await dialTcp(server.mqttPort);
    client.send(packet);
    await client.closed();
    await goesOn();
  });

const afterLogin: Readonly<Record<string, object | Uint8Array>> = {
  'a reserved type of packet': bytes(0xf0, 0),
  'a second CONNECT': { ...CONNECT, clientId: 'again' },
  'PUBLISH with QoS 3': bytes(0x36, 7, 0, 1, 'a', 0, 1, 'x'),
  'a wildcard in a topic name': bytes(0x30, 5, 0, 2, 'a#', 'x'),
  'a topic that is no UTF-8': bytes(0x30, 5, 0, 2, 0xc3, 0x28, 0x78),
  'a topic that is longer than its packet': bytes(0x30, 4, 0xff, 0xff, 'ab'),
  'SUBSCRIBE without its flags': bytes(0x80, 6, 0, 1, 0, 1, 'a', 0),
  'SUBSCRIBE without a filter': bytes(0x82, 2, 0, 1),
  'a remaining length of five bytes': bytes(0x30, 0xff, 0xff, 0xff, 0xff, 0x7f),
  'a packet beyond 1 MiB': bytes(0x30, 0x81, 0x80, 0x80, 0x01),
  'a retained publication': publish(requests, '{}', { retain: true }),
  'a publication to the events': publish(
    `arbor/v1/sessions/${own.session_id}/events/session_closed/${own.session_id}`,
    '{}',
  ),
  'a publication to one’s own replies': publish(replies, '{}'),
  'a publication to the state': publish(`arbor/v1/sessions/${own.session_id}/state`, '{}'),
  'a publication to foreign requests': publish(askThere, '{}'),
  'a publication to an actor': publish(`arbor/v1/actors/0/${own.session_id}/session/${own.session_id}`, '{}'),
  'a publication to $SYS': publish('$SYS/x', '{}'),
};
for (const [name, packet] of Object.entries(afterLogin))
  test(`after the login: ${name}`, async () => {
    const before = (await server.events(foreign.session_id)).filter(({ type }) => !type.startsWith('client_'));
    const client = await login();
    client.send(packet);
    await client.closed();
    await goesOn();
    const after = (await server.events(foreign.session_id)).filter(({ type }) => !type.startsWith('client_'));
    assert.equal(after, before);
  });

const key = server.key;
const logins: Readonly<Record<string, object>> = {
  'a wrong password': { password: `${own.client_token.slice(0, -1)}_` },
  'an empty password': { password: '' },
  'no password': { username: undefined, password: undefined },
  'another client’s token': { password: foreign.client_token },
  'another client id': { clientId: foreign.client_id },
  'another client id with a suffix': { clientId: `${foreign.client_id}:1` },
  'a client id that merely begins alike': { clientId: `${own.client_id}x` },
  'another user name': { username: foreign.client_id },
  'the operator’s key as a client': { password: key },
  'an operator without its name': { clientId: 'op:1', username: 'nobody', password: key },
  'a client as an operator': { clientId: 'op:1', username: 'operator' },
};
for (const [name, connect] of Object.entries(logins))
  test(`a login with ${name} is refused with code 5`, async () => {
    const client = await dial({ connect });
    assert.equal((await client.expect('connack'))['returnCode'], 5);
    await client.closed();
    await goesOn();
  });

test('a login with a will is refused', async () => {
  const client = await dial({ connect: { will: { topic: requests, payload: 'x', qos: 0, retain: false } } });
  const arrived = await client.closed();
  assert.ok(
    arrived.every(({ cmd, returnCode }) => cmd === 'connack' && returnCode !== 0),
    JSON.stringify(arrived),
  );
  await goesOn();
});

test('filters beyond the right are refused with 0x80, the others of the same SUBSCRIBE granted', async () => {
  const [here, there] = [`arbor/v1/sessions/${own.session_id}`, `arbor/v1/sessions/${foreign.session_id}`];
  const wide = [
    '#',
    '+/#',
    'arbor/#',
    'arbor/v1/sessions/#',
    'arbor/v1/sessions/+/events/#',
    `${here}/#`,
    `${here}/+`,
    `${here}/clients/#`,
    `${here}/clients/+/replies`,
    `${here}/clients/${own.client_id}/#`,
    `${here}/clients/${own.client_id}/requests`,
    `${there}/events/#`,
    `${there}/state`,
    hearThere,
    '$SYS/#',
    `$share/g/${here}/events/#`,
    'arbor/v1/actors/#',
    'arbor/v1/inspect/#',
  ];
  const client = await login();
  for (const [index, filter] of wide.entries()) {
    const { granted } = await subscribe(client, { [filter]: 0, [`${here}/events/#`]: 1 }, index + 1);
    assert.equal(granted, [0x80, 1], filter);
  }
  const operator = await login({ connect: { clientId: 'op:1', username: 'operator', password: key } });
  const { granted } = await subscribe(operator, {
    [`${here}/events/#`]: 0,
    [`${here}/state`]: 0,
    'arbor/v1/#': 0,
    'arbor/v1/actors/#': 0,
  });
  assert.equal(granted, [0x80, 0x80, 0x80, 0]);
  // What was refused is not heard: the neighbour's reply goes to the neighbour alone.
  await goesOn();
  const heard = (await client.drain())
    .map(({ topic }) => String(topic))
    .filter((topic) => !topic.startsWith(`${here}/`));
  assert.equal(heard, []);
  client.destroy();
  operator.send(publish('arbor/v1/actors/0/x/session/x', '{}'));
  await operator.closed();
});

test('a request that is none is answered with JSON-RPC’s own code, the connection stays', async () => {
  const client = await login();
  await subscribe(client, { [replies]: 0 });
  const ask = async (text: string | Uint8Array): Promise<Json> => {
    client.send({ ...publish(requests, ''), payload: text });
    return JSON.parse(String((await client.expect('publish'))['payload']));
  };
  const request = (more: object): string =>
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'sessions.get', params: {}, ...more });
  const cases: readonly (readonly [string | Uint8Array, number])[] = [
    ['{', -32700],
    ['', -32700],
    [Buffer.from([0xff, 0xfe]), -32700],
    ['[]', -32600],
    [`[${request({})}]`, -32600],
    ['null', -32600],
    [request({ id: undefined }), -32600],
    [request({ id: null }), -32600],
    [request({ id: 'x'.repeat(1_000) }), -32600],
    [request({ jsonrpc: '1.0' }), -32600],
    [request({ method: 7 }), -32600],
    [request({ params: [1] }), -32600],
    [request({ method: 'sessions.nothing' }), -32601],
    [request({ method: 'constructor' }), -32601],
    [request({ method: 'sessions.create', params: { client: { type: 'cli' } } }), -32601],
    [request({ id: 'a', method: 'commands.execute', params: { command: 'no-op', force: true } }), -32602],
    [request({ params: { session_id: foreign.session_id } }), -32000],
  ];
  for (const [text, code] of cases) {
    const { error, jsonrpc } = await ask(text);
    assert.equal([jsonrpc, error?.code], ['2.0', code], String(text).slice(0, 200));
    assert.match(error.data.type, /^urn:arbor:error:/);
  }
  assert.is((await ask(request({}))).result.session_id, own.session_id);
  client.destroy();
  await goesOn();
});

test('many connections that say nothing keep nobody out', async () => {
  const silent = await Promise.all(Array.from({ length: 50 }, () => dialTcp(server.mqttPort)));
  (await login()).destroy();
  await goesOn();
  for (const client of silent) client.destroy();
});

test('afterwards: the server is well and has logged no fault', async () => {
  neighbour.destroy();
  assert.not.match(server.stderr(), /"level":(50|60)/);
  const { status, body } = await server.execute(own.session_id, { command: 'no-op' }, 'wait=30');
  assert.equal([status, body.status], [200, 'completed']);
});

test.run();
