import mqtt from 'mqtt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbeddedBroker, type EmbeddedBroker } from '../../../brokers/embedded.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { eventually, startGateway, type Json, type TestAnswer, type TestGateway } from '../../support/gateway.ts';

interface Stage {
  on: TestGateway;
  broker: EmbeddedBroker;
}
const test = suite<Stage>('keys');

test.before.each(async (context) => {
  const access = createMqttAccess();
  context.broker = await createEmbeddedBroker({ policy: access.policy });
  context.on = await startGateway(
    { mqtt: { access, server: context.broker, host: '127.0.0.1', port: 0 } },
    context.broker,
  );
});
test.after.each(async ({ on, broker }) => {
  await on.close();
  await broker.close();
});

const asOperator = ({ on }: Stage, method: string, path: string, body?: object): Promise<TestAnswer> =>
  on.call(method, path, { token: on.operator.key, ...(body && { body }) });

const make = async (stage: Stage, principal = 'carol', operator = false): Promise<Json> => {
  const answer = await asOperator(stage, 'POST', '/v1/keys', { principal, operator });
  assert.is(answer.status, 201, answer.text);
  return answer.body;
};

test('an operator makes a key, which is shown once and works', async (stage) => {
  const made = await make(stage);
  assert.equal([made.principal, made.operator, made.revoked_at], ['carol', false, null]);
  assert.ok(made.api_key.startsWith(`${made.key_id}.`));
  const { on } = stage;
  assert.is((await on.call('GET', '/v1/sessions', { token: made.api_key })).status, 200);
  const listed = await asOperator(stage, 'GET', '/v1/keys');
  const ids = listed.body.items.map(({ key_id }: Json) => key_id);
  assert.equal(ids, ids.toSorted());
  assert.is(listed.body.items.find(({ key_id }: Json) => key_id === made.key_id).principal, 'carol');
  assert.not.match(listed.text, made.api_key.split('.')[1]);
  assert.not.match(listed.text, 'hash');
});

test('nobody else does: not a principal, not a client', async (stage) => {
  const { on } = stage;
  const { client_token } = await on.open();
  const { key_id } = await make(stage);
  for (const token of [on.owner, client_token])
    for (const [method, path, body] of [
      ['POST', '/v1/keys', { principal: 'mallory', operator: true }],
      ['GET', '/v1/keys', undefined],
      ['DELETE', `/v1/keys/${key_id}`, undefined],
    ] as const)
      assert.is((await on.call(method, path, { token, ...(body && { body }) })).status, 403);
});

test('names that others give are refused', async (stage) => {
  for (const principal of ['jwt:ada', 'share:shr_1', 'op:x', '', 'a b', 'a\n', 'x'.repeat(101)]) {
    const answer = await asOperator(stage, 'POST', '/v1/keys', { principal });
    assert.is(answer.status, 400, principal);
  }
});

test('a revoked key is dead with the answer, though it was just used', async (stage) => {
  const { on } = stage;
  const { key_id, api_key: token } = await make(stage);
  assert.is((await on.call('GET', '/v1/sessions', { token })).status, 200);
  const revoked = await asOperator(stage, 'DELETE', `/v1/keys/${key_id}`);
  assert.is(revoked.status, 200, revoked.text);
  assert.is((await on.call('GET', '/v1/sessions', { token })).status, 401);
  const again = await asOperator(stage, 'DELETE', `/v1/keys/${key_id}`);
  assert.equal(again.body, revoked.body, 'a repeat says the same');
  assert.is((await asOperator(stage, 'DELETE', `/v1/keys/ark_${'0'.repeat(20)}`)).status, 404);
});

test('a look-up that was under way while the key was revoked does not revive it', async (stage) => {
  const { on } = stage;
  const { key_id, api_key: token } = await make(stage);
  const { find } = on.system.keys;
  const before = await find(key_id);
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  let asked = false;
  Object.assign(on.system.keys, {
    find: async (id: string) => {
      if (id !== key_id || asked) return find(id);
      asked = true;
      await held;
      return before;
    },
  });
  const slow = on.call('GET', '/v1/sessions', { token });
  await eventually('it looks the key up', () => asked);
  assert.is((await asOperator(stage, 'DELETE', `/v1/keys/${key_id}`)).status, 200);
  release();
  assert.is((await slow).status, 401);
  assert.is((await on.call('GET', '/v1/sessions', { token })).status, 401);
});

test('the last key of an operator stays, also when two are revoked at once', async (stage) => {
  const { on } = stage;
  const own = on.operator.key.split('.')[0] as string;
  assert.is((await asOperator(stage, 'DELETE', `/v1/keys/${own}`)).status, 409);
  const second = await make(stage, 'root2', true);
  const { list } = on.system.keys;
  // Slow enough for the two to meet.
  Object.assign(on.system.keys, {
    list: async () => {
      const keys = await list();
      await new Promise((resolve) => setTimeout(resolve, 50));
      return keys;
    },
  });
  const revoke = (id: string): Promise<TestAnswer> => asOperator(stage, 'DELETE', `/v1/keys/${id}`);
  const statuses = (await Promise.all([revoke(second.key_id), revoke(own)])).map(({ status }) => status);
  assert.equal(statuses.toSorted(), [200, 409]);
  const left = (await on.system.keys.list()).filter(({ operator, revoked_at }) => operator && revoked_at === null);
  assert.is(left.length, 1);
});

test('streams, long-polls and operators’ connections of a revoked key end', async (stage) => {
  const { on } = stage;
  const { key_id, api_key: token, principal } = await make(stage, 'carol', true);
  const opened = await on.call('POST', '/v1/sessions', { token, body: { client: { type: 'cli' } } });
  const path = `/v1/sessions/${opened.body.session_id}`;
  const work = await on.call('POST', `${path}/commands`, { token, body: { command: 'work' } });
  let ended = 0;
  const end = (): void => {
    ended += 1;
  };
  const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream' };
  const stream = await fetch(`${on.url}${path}/events`, { headers });
  const read = stream.text().then(end);
  const polled = on.call('GET', `${work.body.poll_url}?wait=60`, { token });
  const { host, port } = on.mqtt as { host: string; port: number };
  const connection = mqtt.connect(`mqtt://${host}:${port}`, {
    protocolVersion: 4,
    reconnectPeriod: 0,
    clientId: 'op:1',
    username: principal,
    password: token,
  });
  await new Promise<void>((resolve, reject) => connection.once('connect', () => resolve()).once('error', reject));
  connection.once('close', end);
  await eventually('it waits', async () => (await on.call('GET', '/metrics')).text.includes('\narbor_waiters 1'));
  assert.is(ended, 0);
  assert.is((await asOperator(stage, 'DELETE', `/v1/keys/${key_id}`)).status, 200);
  assert.is((await polled).status, 401);
  await eventually('stream and connection end', () => ended === 2);
  await read;
  connection.end(true);
});

test('what is done to keys is recorded with them', async (stage) => {
  const entries: Json[] = [];
  const { keys } = stage.on.system;
  const { put } = keys;
  Object.assign(keys, {
    put: (key: never, entry: Json) => {
      entries.push(entry);
      return put(key);
    },
  });
  const { key_id, api_key } = await make(stage);
  await asOperator(stage, 'DELETE', `/v1/keys/${key_id}`);
  assert.equal(
    entries.map(({ type, principal, data }) => [type, principal, data]),
    ['key_created', 'key_revoked'].map((type) => [type, 'root', { key_id, principal: 'carol', operator: false }]),
  );
  assert.not.match(JSON.stringify(entries), api_key.split('.')[1]);
});

test.run();
