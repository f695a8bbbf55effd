import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError } from '../../../machines/error.ts';
import { connect, createHttpClient, createMqttClient, type Event, type MqttClient } from '../../../src/client/index.ts';
import { startServer, type Server } from '../../../src/start.ts';
import { until } from './fake-gateway.ts';

interface Context {
  server: Server;
  data: string;
  key: string;
  clients: MqttClient[];
}
const test = suite<Context>('client and server');

test.before(async (context) => {
  process.env['ARBOR_LOG_LEVEL'] = 'error';
  context.data = await mkdtemp(join(tmpdir(), 'arbor-client-'));
  context.server = await startServer({ data: context.data, http: '127.0.0.1:0', mqtt: '127.0.0.1:0' });
  context.key = (JSON.parse(await readFile(context.server.credentials, 'utf8')) as { api_key: string }).api_key;
});
test.before.each((context) => {
  context.clients = [];
});
test.after.each(({ clients }) => {
  for (const client of clients) client.close();
});
test.after(async ({ server, data }) => {
  await server.close(1_000);
  await rm(data, { recursive: true, force: true });
});

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error instanceof ProblemError ? error.problem.code : String(error)),
  );

/** A path that holds little, so that its analysis is short. */
const PATH = 'src/client';

test('HTTP, MQTT and MQTT over WebSocket see the same events, and the log has them', async ({
  server,
  key,
  clients,
}) => {
  const session = await connect({ url: server.http, token: key });
  const { session_id, client_id, client_token } = session;
  const login = { clientId: client_id, token: client_token, session: session_id };
  const tcp = createMqttClient({ ...login, url: server.mqtt });
  clients.push(tcp);
  const ws = createMqttClient({ ...login, url: server.ws });
  clients.push(ws);
  const views: Event[][] = [[], [], []];
  const follows = [session.follow(), tcp.follow(), ws.follow()].map(async (events, index) => {
    for await (const event of events) {
      views[index]?.push(event);
      if (event.type === 'execution_completed') return;
    }
  });
  assert.equal(Object.keys((await session.run('analyze', { path: PATH })) as object).includes('files'), true);
  await Promise.all(follows);
  const { events } = await session.http.events.list({ session_id });
  for (const view of views) assert.equal(view, events.slice(0, view.length));
  assert.is(events.at(-1)?.type, 'execution_completed');
});

test('calls over MQTT do what they do over HTTP', async ({ server, key, clients }) => {
  const session = await connect({ url: server.http, token: key, client: { type: 'cli', name: 'one' } });
  const { session_id, client_id, client_token } = session;
  const mqtt = createMqttClient({ url: server.mqtt, clientId: client_id, token: client_token, session: session_id });
  clients.push(mqtt);
  const [overHttp, overMqtt] = await Promise.all([
    session.http.clients.list({ session_id }),
    mqtt.clients.list({ session_id }),
  ]);
  // Its status is another as soon as it has called.
  assert.equal(
    overMqtt.items.map((client) => ({ ...client, status: '' })),
    overHttp.items.map((client) => ({ ...client, status: '' })),
  );
  const run = await mqtt.commands.execute({ session_id, command: 'analyze', args: { path: PATH }, wait: 30 });
  assert.is((run as { status: string }).status, 'completed');
  assert.is(await codeOf(mqtt.commands.execute({ session_id, command: 'nothing' })), 'unknown_command');
  assert.is(await codeOf(mqtt.executions.get({ execution_id: 'no id' })), 'not_found');
});

test('a wrong token is refused over both', async ({ server, key, clients }) => {
  assert.is(await codeOf(createHttpClient({ url: server.http, token: 'nothing' }).sessions.list()), 'unauthenticated');
  const { session_id, client_id } = await connect({ url: server.http, token: key });
  const mqtt = createMqttClient({ url: server.mqtt, clientId: client_id, token: 'nothing', session: session_id });
  clients.push(mqtt);
  assert.is(await codeOf(mqtt.sessions.list()), 'unauthenticated');
});

test('a client that left is told so, wherever it follows', async ({ server, key, clients }) => {
  const session = await connect({ url: server.http, token: key });
  const { session_id, client_id, client_token } = session;
  const mqtt = createMqttClient({ url: server.mqtt, clientId: client_id, token: client_token, session: session_id });
  clients.push(mqtt);
  let heard = 0;
  const follow = async (events: AsyncIterable<Event>): Promise<void> => {
    for await (const { type } of events) heard += type === 'client_joined' ? 1 : 0;
  };
  const ends = Promise.all([codeOf(follow(session.follow())), codeOf(follow(mqtt.follow()))]);
  await until(() => heard === 2, 'both to follow');
  await session.leave();
  assert.equal(await ends, ['unauthenticated', 'unauthenticated']);
  assert.is(await codeOf(session.http.sessions.get({ session_id })), 'unauthenticated');
});

test('closing the session ends who follows it', async ({ server, key }) => {
  const session = await connect({ url: server.http, token: key });
  const owner = createHttpClient({ url: server.http, token: key });
  const seen: string[] = [];
  const follow = (async () => {
    for await (const { type } of owner.follow({ session_id: session.session_id })) seen.push(type);
  })();
  await until(() => seen.includes('client_joined'), 'the beginning');
  await owner.sessions.close({ session_id: session.session_id });
  await follow;
  assert.is(seen.at(-1), 'session_closed');
});

test.run();
