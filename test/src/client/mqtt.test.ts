import { createServer, type AddressInfo, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError } from '../../../machines/error.ts';
import type { Event } from '../../../machines/event.ts';
import { createMqttClient, type MqttClient, type MqttClientOptions } from '../../../src/client/mqtt.ts';
import { CLIENT, createFakeGateway, EXECUTION, SESSION, TOKEN, until, type FakeGateway } from './fake-gateway.ts';

const test = suite<{ gateway: FakeGateway; clients: MqttClient[] }>('mqtt client');

test.before.each(async (context) => {
  context.gateway = await createFakeGateway();
  context.clients = [];
});
test.after.each(async ({ gateway, clients }) => {
  for (const client of clients) client.close();
  await gateway.close();
});

interface Context {
  readonly gateway: FakeGateway;
  readonly clients: MqttClient[];
}

const clientOf = ({ gateway, clients }: Context, options: Partial<MqttClientOptions> = {}): MqttClient => {
  const client = createMqttClient({ url: gateway.mqtt, clientId: CLIENT, token: TOKEN, session: SESSION, ...options });
  clients.push(client);
  return client;
};

const problemOf = async (promise: Promise<unknown>): Promise<ProblemError['problem']> => {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, ProblemError);
    return (error as ProblemError).problem;
  }
  throw new Error('it was expected to reject');
};

test('calls an operation and gets its answer', async (context) => {
  context.gateway.handlers = { 'executions.get': ({ execution_id }) => ({ execution_id, status: 'running' }) };
  const client = clientOf(context);
  const answers = await Promise.all([1, 2, 3].map(() => client.executions.get({ execution_id: EXECUTION })));
  assert.equal(
    answers,
    [1, 2, 3].map(() => ({ execution_id: EXECUTION, status: 'running' })),
  );
  assert.is(new Set(context.gateway.requests.map(({ id }) => id)).size, 3);
});

test('a refusal is a ProblemError', async (context) => {
  const problem = await problemOf(clientOf(context).sessions.get({ session_id: SESSION }));
  assert.is(problem.code, 'not_found');
});

test('what is offered over HTTP only is refused at once', async (context) => {
  assert.is((await problemOf(clientOf(context).sessions.create({ client_type: 'web' }))).code, 'method_not_found');
});

test('a refused login fails every call, before and after', async (context) => {
  const client = clientOf(context, { token: 'another' });
  assert.is((await problemOf(client.sessions.list())).code, 'unauthenticated');
  assert.is((await problemOf(client.sessions.list())).code, 'unauthenticated');
  assert.is((await problemOf(client.follow().next())).code, 'unauthenticated');
});

test('nobody there: every call ends at its deadline', async (context) => {
  const gone = await createFakeGateway();
  await gone.close();
  const client = clientOf(context, { url: gone.mqtt });
  assert.is((await problemOf(client.call('sessions.list', {}, { timeoutMs: 50 }))).code, 'timed_out');
});

test('a server that takes the connection and says nothing: every call ends at its deadline', async (context) => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = clientOf(context, { url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}` });
  assert.is((await problemOf(client.call('sessions.list', {}, { timeoutMs: 100 }))).code, 'timed_out');
  client.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

test('a connected server that does not answer: timed_out', async (context) => {
  context.gateway.mute = true;
  const client = clientOf(context);
  const call = problemOf(client.call('sessions.list', {}, { timeoutMs: 500 }));
  await until(() => context.gateway.requests.length > 0, 'the request');
  assert.is((await call).code, 'timed_out');
});

test('after a cut it comes back and repeats what waits under the same id', async (context) => {
  const { gateway } = context;
  gateway.mute = true;
  gateway.handlers = { 'executions.get': ({ execution_id }) => ({ execution_id, status: 'running' }) };
  const call = clientOf(context).executions.get({ execution_id: EXECUTION });
  await until(() => gateway.requests.length > 0, 'the request');
  gateway.mute = false;
  gateway.cutMqtt();
  assert.is((await call).status, 'running');
  assert.is(gateway.requests.length, 2);
  assert.equal(gateway.requests[0], gateway.requests[1]);
});

test('more calls than the bound are refused, not queued', async (context) => {
  context.gateway.mute = true;
  const client = clientOf(context);
  const calls = Array.from({ length: 64 }, () => problemOf(client.sessions.list()));
  assert.is((await problemOf(client.sessions.list())).code, 'overloaded');
  client.close();
  assert.equal(new Set((await Promise.all(calls)).map(({ code }) => code)), new Set(['unavailable']));
});

test('the caller can end a call', async (context) => {
  context.gateway.mute = true;
  const controller = new AbortController();
  const why = new Error('enough');
  const call = clientOf(context).sessions.list({}, { signal: controller.signal });
  controller.abort(why);
  await call.then(
    () => assert.unreachable(),
    (error: unknown) => assert.is(error, why),
  );
});

test('follows: the past, the present, and on after cuts, dense', async (context) => {
  const { gateway } = context;
  gateway.pageLimit = 3;
  for (let i = 0; i < 10; i += 1) gateway.append('execution_progress');
  const seen: Event[] = [];
  const ended = (async () => {
    for await (const event of clientOf(context).follow({ random: () => 0 })) seen.push(event);
  })();
  await until(() => seen.length === 10, 'the past');
  for (let round = 0; round < 4; round += 1) {
    gateway.append('execution_output', { round });
    await until(() => seen.length === gateway.log.length, 'the present');
    gateway.cutMqtt();
    gateway.append('execution_output', { round, missed: true });
    await until(() => seen.length === gateway.log.length, 'what was missed');
  }
  gateway.append('session_closed');
  await ended;
  assert.equal(seen, gateway.log);
});

test('who may not hear the events is told so', async (context) => {
  context.gateway.blind = true;
  const client = clientOf(context);
  assert.is((await problemOf(client.follow({ random: () => 0 }).next())).code, 'security_violation');
  context.gateway.handlers = { 'sessions.list': () => ({ items: [], next: null }) };
  assert.equal(await client.sessions.list(), { items: [], next: null });
});

test('ids that are none are refused before anything is sent', (context) => {
  assert.throws(() => clientOf(context, { session: 'ses/+/#' }), /session/);
  assert.throws(() => clientOf(context, { clientId: '#' }), /clientId/);
});

test.run();
