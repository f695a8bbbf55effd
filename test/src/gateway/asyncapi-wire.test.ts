import { Ajv, type ValidateFunction } from 'ajv';
import mqtt from 'mqtt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbeddedBroker } from '../../../brokers/embedded.ts';
import { topicMatches } from '../../../machines/topic.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { eventually, startGateway, type Json } from '../../support/gateway.ts';

/** What goes over MQTT is what `/asyncapi.json` says, in both directions. */
const test = suite('the AsyncAPI document and the wire');

const access = createMqttAccess();
const broker = await createEmbeddedBroker({ policy: access.policy });
const on = await startGateway({ mqtt: { access, server: broker, host: '127.0.0.1', port: 0 } }, broker);
const session = await on.open();
const other = await on.open();
const client = await mqtt.connectAsync(`mqtt://${on.mqtt?.host}:${on.mqtt?.port}`, {
  protocolVersion: 4,
  reconnectPeriod: 0,
  clientId: session.client_id,
  username: session.client_id,
  password: session.client_token,
});
test.after(async () => {
  client.end(true);
  await on.close();
  await broker.close();
});

const document = (await on.call('GET', '/asyncapi.json', { token: null })).body;
const ajv = new Ajv({ strict: false, validateFormats: false });
ajv.addSchema(document, 'document');
const checkOf = (message: string): ValidateFunction =>
  ajv.compile({ $ref: `document#/components/messages/${message}/payload` });

/** The channel of a topic, by its address. */
const channelOf = (topic: string): string => {
  const fits = Object.entries(document.channels as Record<string, { address: string }>).filter(([, { address }]) =>
    topicMatches(address.replaceAll(/\{\w+\}/g, '+'), topic),
  );
  assert.is(fits.length, 1, topic);
  return fits[0]?.[0] as string;
};
const fits = (message: string, value: Json): void => {
  const check = checkOf(message);
  assert.ok(check(value), `${message}: ${JSON.stringify(check.errors)} in ${JSON.stringify(value)}`);
};

const base = `arbor/v1/sessions/${session.session_id}`;
const mine = `${base}/clients/${session.client_id}`;
const heard: { readonly topic: string; readonly json: Json }[] = [];
client.on('message', (topic, payload) => void heard.push({ topic, json: JSON.parse(payload.toString()) }));
for (const filter of [`${base}/events/#`, `${base}/state`, `${mine}/can`, `${mine}/replies`])
  await client.subscribeAsync(filter, { qos: 1 });

const methods = new Map<number, string>();
const call = async (method: string, params?: object): Promise<Json> => {
  const id = methods.size + 1;
  methods.set(id, method);
  const request = { jsonrpc: '2.0', id, method, params };
  await client.publishAsync(`${mine}/requests`, JSON.stringify(request), { qos: 1 });
  const reply = (): Json => heard.find(({ topic, json }) => topic === `${mine}/replies` && json.id === id)?.json;
  await eventually(`a reply to ${method}`, () => reply() !== undefined);
  return { request: JSON.parse(JSON.stringify(request)), reply: reply() };
};

test('requests that are taken, replies, events, state and rights are of their channels', async () => {
  const seen = new Set<string>();
  const good = async (method: string, params?: object): Promise<Json> => {
    const { request, reply } = await call(method, params);
    fits(`${method}.request`, request);
    assert.ok(reply.result, JSON.stringify(reply));
    return reply.result;
  };
  const { execution_id } = await good('commands.execute', { command: 'work', args: { n: 2 } });
  await eventually('the run begins', () => on.system.runs.size > 0);
  on.system.report(execution_id, { type: 'execution.complete', start: 1, result: { n: 2 }, artifacts: [] });
  const { coordination_id } = await good('coordinations.create', { operation: 'deploy', description: 'now?' });
  const { share_id } = await good('shares.create', { label: 'a guest' });
  for (const [method, params] of [
    ['sessions.get'],
    ['sessions.list', { limit: 1 }],
    ['clients.list', {}],
    ['commands.list'],
    ['executions.list'],
    ['executions.get', { execution_id, wait: 1 }],
    ['events.list', { after: 0, types: ['session_opened'] }],
    ['shares.list'],
    ['capabilities.list'],
    ['webhooks.list'],
    ['coordinations.list'],
    ['coordinations.get', { coordination_id }],
    ['coordinations.cancel', { coordination_id }],
    ['shares.revoke', { share_id }],
    ['sessions.get', { session_id: session.session_id }],
  ] as const)
    await good(method, params);
  await eventually('the end of the execution', () => heard.some(({ json }) => json.type === 'execution_completed'));
  await eventually('the last state', () => heard.filter(({ topic }) => topic === `${base}/state`).length > 1);
  for (const { topic, json } of heard) {
    const channel = channelOf(topic);
    seen.add(channel);
    if (channel === 'replies') fits(`${methods.get(json.id)}.result`, json);
    else if (channel !== 'events') fits(channel, json);
    else {
      assert.is(topic.split('/').at(-2), json.type);
      fits(json.type, json);
    }
  }
  assert.equal([...seen].toSorted(), ['can', 'events', 'replies', 'state']);
});

test('what is refused is what the document has no message for, and the refusal is its error', async () => {
  for (const [method, params] of [
    ['coordinations.create', { operation: 'deploy' }],
    ['commands.execute', { command: 7 }],
    ['shares.create', { constraints: { max_operation: 1 } }],
    ['sessions.list', { limit: 0 }],
  ] as const) {
    const { request, reply } = await call(method, params);
    assert.not(checkOf(`${method}.request`)(request), JSON.stringify(request));
    fits('error', reply);
    assert.is(reply.error.data.code, 'invalid_input');
  }
  for (const [method, params] of [
    ['sessions.nothing', {}],
    ['sessions.create', {}],
    ['sessions.get', { session_id: other.session_id }],
  ] as const)
    fits('error', (await call(method, params)).reply);
  await client.publishAsync(`${mine}/requests`, 'no JSON', { qos: 1 });
  await eventually('a reply to what has no id', () => heard.some(({ json }) => json.id === null));
  fits('error', heard.find(({ json }) => json.id === null)?.json);
});

test.run();
