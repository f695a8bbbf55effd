// limit: 180 s
import { setTimeout as sleep } from 'node:timers/promises';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbeddedBroker, type EmbeddedBroker } from '../../../brokers/embedded.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { startGateway, type Json, type TestAnswer, type TestGateway } from '../../support/gateway.ts';
import { CONNECT, dialTcp } from '../../support/mqtt-wire.ts';

/** Tokens that were good once, or are good for something else, and what becomes of an address that keeps trying. */
interface Stage {
  on: TestGateway;
  broker: EmbeddedBroker;
}
const test = suite<Stage>('replayed tokens');

const ISSUER = 'https://login.example';
const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] };
/** Failed logins of an address in a minute. */
const LIMIT = 5;

test.before.each(async (stage) => {
  const access = createMqttAccess();
  stage.broker = await createEmbeddedBroker({ policy: access.policy });
  stage.on = await startGateway(
    {
      mqtt: { access, server: stage.broker, host: '127.0.0.1', port: 0 },
      auth: {
        issuer: ISSUER,
        audience: ['arbor'],
        algorithms: ['ES256'],
        keys: { set: keys },
        clockTolerance: 0,
        maxAge: null,
      },
      limits: { failedLogins: LIMIT },
    },
    stage.broker,
  );
});
test.after.each(async ({ on, broker }) => {
  await on.close();
  await broker.close();
});

const jwtOf = ({ on }: Stage, sub: string, lifetime = 600): Promise<string> => {
  const iat = Math.floor(on.system.now() / 1_000);
  return new SignJWT({ iss: ISSUER, aud: 'arbor', sub, iat, exp: iat + lifetime })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .sign(privateKey);
};
const share = async ({ on }: Stage, { session_id }: Json, constraints: object = {}): Promise<Json> => {
  const answer = await on.call('POST', `/v1/sessions/${session_id}/shares`, { body: { constraints } });
  assert.is(answer.status, 201, answer.text);
  return answer.body;
};
const join = ({ on }: Stage, token: string, as: string | null = null, type = 'cli'): Promise<TestAnswer> =>
  on.call('POST', '/v1/join', { token: as, body: { token, client: { type } } });
const mqttCode = async ({ on }: Stage, login: object): Promise<unknown> => {
  const client = await dialTcp(on.mqtt?.port ?? 0);
  client.send({ ...CONNECT, ...login });
  const { returnCode } = await client.expect('connack');
  client.destroy();
  return returnCode;
};
const asClient = ({ client_id, client_token }: Json): object => ({
  clientId: client_id,
  username: client_id,
  password: client_token,
});
/** Refused as a token that never was, over HTTP and MQTT. */
const isDead = async (stage: Stage, client: Json): Promise<void> => {
  const { on } = stage;
  const never = await on.call('GET', '/v1/sessions', { token: 'never' });
  const answer = await on.call('GET', '/v1/sessions', { token: client.client_token });
  assert.equal([answer.status, answer.text], [401, never.text]);
  assert.is(await mqttCode(stage, asClient(client)), 5);
};
const isNoShare = (answer: TestAnswer, never: TestAnswer): void =>
  assert.equal([answer.status, answer.text], [401, never.text]);

test('the token of a client that has left', async (stage) => {
  const own = await stage.on.open();
  const { session_id, client_id, client_token: token } = own;
  assert.is(await mqttCode(stage, asClient(own)), 0);
  const path = `/v1/sessions/${session_id}/clients/${client_id}`;
  assert.is((await stage.on.call('DELETE', path, { token })).status, 200);
  await isDead(stage, own);
});

test('the token of a client whose session is closed', async (stage) => {
  const own = await stage.on.open();
  assert.is((await stage.on.call('DELETE', `/v1/sessions/${own.session_id}`)).status, 200);
  await isDead(stage, own);
});

test('the token of a share that was revoked, and of who came by it', async (stage) => {
  const { share_id, token } = await share(stage, await stage.on.open());
  const guest = (await join(stage, token)).body;
  assert.is((await stage.on.call('DELETE', `/v1/shares/${share_id}`)).status, 200);
  isNoShare(await join(stage, token), await join(stage, 'never'));
  await isDead(stage, guest);
});

test('the token of a share after its time', async (stage) => {
  const { on } = stage;
  const own = await on.open();
  const { token } = await share(stage, own, { expires_in: 60 });
  const guest = (await join(stage, token)).body;
  on.system.advance(59_000);
  assert.is((await join(stage, token)).status, 201);
  on.system.advance(1_000);
  isNoShare(await join(stage, token), await join(stage, 'never'));
  const read = await on.call('GET', `/v1/sessions/${own.session_id}`, { token: guest.client_token });
  assert.ok([401, 403].includes(read.status), read.text);
});

test('a JWT after its time', async (stage) => {
  const { on } = stage;
  const token = await jwtOf(stage, 'ada', 60);
  assert.is((await on.call('GET', '/v1/sessions', { token })).status, 200);
  on.system.advance(60_000);
  const answer = await on.call('GET', '/v1/sessions', { token });
  const never = await on.call('GET', '/v1/sessions', { token: 'never' });
  assert.equal([answer.status, answer.text], [401, never.text]);
});

test('a share’s token again while it is live: another client, of the same budget', async (stage) => {
  const { on } = stage;
  const own = await on.open();
  const { token } = await share(stage, own, { max_operations: 2 });
  const [first, second] = [(await join(stage, token)).body, (await join(stage, token)).body];
  assert.is.not(first.client_id, second.client_id);
  const execute = (client: Json): Promise<TestAnswer> =>
    on.call('POST', `/v1/sessions/${own.session_id}/commands`, {
      token: client.client_token,
      body: { command: 'work' },
    });
  assert.is((await execute(first)).status, 202);
  assert.is((await execute(second)).status, 202);
  for (const client of [first, second, (await join(stage, token)).body]) {
    const refused = await execute(client);
    assert.equal([refused.status, refused.body.reason], [403, 'exhausted'], refused.text);
  }
});

test('a client’s token under another client’s id, name or both', async (stage) => {
  const [own, other] = [await stage.on.open(), await stage.on.open()];
  const { client_id: mine, client_token: password } = own;
  const { client_id: yours } = other;
  for (const [clientId, username] of [
    [yours, yours],
    [yours, mine],
    [mine, yours],
    [`${yours}:${mine}`, mine],
    [`${mine}x`, mine],
  ])
    assert.is(await mqttCode(stage, { clientId, username, password }), 5);
  assert.is(await mqttCode(stage, asClient(other)), 0, 'it is let in while others are over the limit');
});

test('who has a JWT opens sessions, joins as itself, and is no operator', async (stage) => {
  const { on } = stage;
  const token = await jwtOf(stage, 'ada');
  const opened = await on.call('POST', '/v1/sessions', { token, body: { client: { type: 'web' } } });
  assert.is(opened.status, 201, opened.text);
  const mine = (await on.call('GET', '/v1/sessions', { token })).body.items;
  assert.equal(
    mine.map(({ session_id, owner }: Json) => [session_id, owner]),
    [[opened.body.session_id, 'jwt:ada']],
  );

  const { session_id } = await on.open();
  const { share_id, token: shared } = await share(stage, { session_id });
  const joined = await join(stage, shared, token);
  assert.is(joined.status, 201, joined.text);
  const { client_id } = joined.body;
  const clients: Json[] = (await on.call('GET', `/v1/sessions/${session_id}/clients`)).body.items;
  const { principal, via_share } = clients.find((client) => client.client_id === client_id);
  assert.equal([principal, via_share], ['jwt:ada', share_id]);
  const { events } = (await on.call('GET', `/v1/sessions/${session_id}/events?types=client_joined`)).body;
  assert.equal(
    events.map(({ data }: Json) => [data.principal, data.via_share]),
    [
      ['alice', undefined],
      ['jwt:ada', share_id],
    ],
  );
  const record = on.system.audited().find(({ type }) => type === 'client_joined');
  assert.equal([record?.principal, record?.data['share_id']], ['jwt:ada', share_id]);

  // By its own name it sees nothing of the session that it has joined as a client.
  assert.is((await on.call('GET', `/v1/sessions/${session_id}`, { token })).status, 404);
  for (const [method, path] of [
    ['GET', '/v1/audit'],
    ['GET', '/v1/audit/verify'],
    ['GET', '/v1/keys'],
    ['POST', '/v1/keys'],
  ] as const) {
    const answer = await on.call(method, path, { token, ...(method === 'POST' && { body: { principal: 'x' } }) });
    assert.equal([answer.status, answer.body.reason], [403, 'operator']);
  }
  for (const login of [
    { clientId: 'op:1', username: 'jwt:ada', password: token },
    { clientId: client_id, username: client_id, password: token },
  ])
    assert.is(await mqttCode(stage, login), 5);
  const named = await jwtOf(stage, 'root');
  assert.is((await on.call('GET', '/v1/keys', { token: named })).status, 403, 'a name is not an operator’s key');
});

/** Fails as often as an address may, over every binding. */
const exhaust = async (stage: Stage): Promise<void> => {
  const { on } = stage;
  assert.is((await on.call('GET', '/v1/sessions', { token: null })).status, 401);
  assert.is((await on.call('POST', '/v1/sessions', { token: 'wrong', body: {} })).status, 401);
  assert.is((await join(stage, 'wrong')).status, 401);
  assert.is(await mqttCode(stage, { clientId: 'x', username: 'x', password: 'x' }), 5);
  assert.is(await mqttCode(stage, { clientId: 'x' }), 5);
};

test('an address that fails too often: 429 with its fields, code 3; the next minute is a new one', async (stage) => {
  const { on } = stage;
  const own = await on.open();
  const { token } = await share(stage, own);
  const unknown = await on.keyOf('bob');
  await exhaust(stage);
  for (const refused of [
    await on.call('GET', '/v1/sessions', { token: null }),
    await on.call('GET', '/v1/sessions', { token: 'wrong' }),
    await on.call('GET', '/v1/sessions', { token: unknown }),
    await join(stage, token),
    await join(stage, 'wrong'),
  ]) {
    assert.equal([refused.status, refused.body.code, refused.body.reason], [429, 'rate_limited', 'address']);
    const seconds = Number(refused.headers.get('retry-after'));
    assert.ok(seconds >= 1 && seconds <= 60);
    assert.is(refused.headers.get('ratelimit-policy'), `"address";q=${LIMIT};w=60`);
    assert.is(refused.headers.get('ratelimit'), `"address";r=0;t=${seconds}`);
  }
  assert.is(await mqttCode(stage, { clientId: 'x', username: 'x', password: 'x' }), 3);
  assert.is(await mqttCode(stage, { clientId: 'op:1', username: 'bob', password: unknown }), 3);
  for (const path of ['/healthz', '/readyz', '/metrics'])
    assert.is((await on.call('GET', path, { token: null })).status, 200);
  on.system.advance(60_000);
  assert.is((await on.call('GET', '/v1/sessions', { token: unknown })).status, 200);
  assert.is((await join(stage, token)).status, 201);
  assert.is((await on.call('GET', '/v1/sessions', { token: 'wrong' })).status, 401);
});

test('who is known keeps in while others of its address are locked out, also after a pause', async (stage) => {
  const { on } = stage;
  const own = await on.open();
  const known = [await jwtOf(stage, 'ada'), await on.keyOf('bob'), own.client_token, on.operator.key];
  for (const token of known) assert.is((await on.call('GET', '/v1/sessions', { token })).status, 200);
  // Longer than a JWT and a key are believed without looking.
  on.system.advance(61_000);
  await sleep(1_200);
  await exhaust(stage);
  for (const token of known) assert.is((await on.call('GET', '/v1/sessions', { token })).status, 200);
  assert.is(await mqttCode(stage, asClient(own)), 0);
  assert.is(await mqttCode(stage, { clientId: 'op:1', username: 'root', password: on.operator.key }), 0);
  // Being known is no right: what has ended since is refused.
  const path = `/v1/sessions/${own.session_id}/clients/${own.client_id}`;
  assert.is((await on.call('DELETE', path, { token: own.client_token })).status, 200);
  const left = await on.call('GET', '/v1/sessions', { token: own.client_token });
  assert.ok([401, 429].includes(left.status), left.text);
  const [key] = (on.operator.key as string).split('.');
  const mutated = await on.call('GET', '/v1/sessions', { token: `${key}.${'A'.repeat(43)}` });
  assert.is(mutated.status, 429, 'it is known by all of it, not by its id');
});

test('failed logins are in the audit by address, merged, and their counts add up', async (stage) => {
  const { on } = stage;
  await exhaust(stage);
  // Refused unseen, these are none.
  for (let n = 0; n < 3; n++) assert.is((await join(stage, 'wrong')).status, 429);
  await on.gateway.close(1_000);
  const records = on.system.audited().filter(({ type }) => type === 'login_failed');
  assert.is(records.length, 2, 'the first at once, the rest of the minute together');
  assert.equal(
    records.map(({ data }) => data),
    [
      { address: '127.0.0.1', count: 1 },
      { address: '127.0.0.1', count: LIMIT - 1 },
    ],
  );
  assert.ok(
    records.every(({ principal, session_id, client_id }) =>
      [principal, session_id, client_id].every((id) => id === null),
    ),
  );
});

test.run();
