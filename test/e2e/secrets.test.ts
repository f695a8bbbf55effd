// limit: 240 s
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SessionId } from '../../machines/id.ts';
import { canTopic, eventFilter, repliesTopic, requestsTopic, stateTopic } from '../../machines/topic.ts';
import { createApiKey, createClientToken, createShareToken } from '../../src/gateway/keys.ts';
import { publish, subscribe } from '../support/mqtt-wire.ts';
import { createWorkspace, eventually, type Arbor, type CallOptions, type Json } from '../support/server.ts';
import { EXPORT_FORMATS } from '../../src/operations/export-formats.ts';
import { eavesdrop, isHash } from './eavesdropper.ts';
import { watchSse } from './witness.ts';

/**
 * Promise 17: tokens of every kind are given to a server in every place, right and wrong. Then all that has come out of it
 * is searched for them. What a command is given is in `secret-arguments`.
 */
const test = suite('secrets');

const OPERATOR_KEY = 'the operator’s key';
const TAP = 'the operator’s tap';
const ISSUER = { issuer: 'https://login.example', audience: 'arbor' };

const space = createWorkspace();
test.after(async () => space[Symbol.asyncDispose]());
const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
space.write('keys.json', JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] }));
const config = space.config({
  commands: ['no-op'],
  auth: { ...ISSUER, jwks: 'keys.json' },
  limits: { failed_logins: 100_000 },
  webhooks: { allow: ['127.0.0.1/32'] },
});
const server = await space.serve({ config, env: { ARBOR_LOG_LEVEL: 'trace' } });
const { plantToken, hear, call, create, dial, dialAs, forget, leaks, leaksIn } = eavesdrop(server);

plantToken(OPERATOR_KEY, server.key);
const operator = await dial(TAP, { clientId: 'op:1', username: 'operator', password: server.key });
await operator.expect('connack');
await subscribe(operator, { 'arbor/v1/actors/#': 0 });

const own = await create('a client’s token', 'client_token', '/v1/sessions', { body: { client: { type: 'cli' } } });
const session: SessionId = own.session_id;
const base = `/v1/sessions/${session}`;
const ada = await create('an API key', 'api_key', '/v1/keys', { body: { principal: 'ada' } });
const share = await create('a share’s token', 'token', `${base}/shares`, { body: { label: 'for all' } });
const HOOK = { url: 'http://127.0.0.1:9/' };
await create('a webhook’s secret', 'secret', `${base}/webhooks`, { body: HOOK });
const guest = await create('a guest’s token', 'client_token', '/v1/join', {
  token: null,
  body: { token: share.token, client: { type: 'web' } },
});
const sessions: (readonly [session: string, token: string])[] = [[session, server.key]];

const witness = await watchSse(server, session, own.client_token);
const watcher = await dialAs('events, state and can', own, 'watch');
await subscribe(watcher, {
  [eventFilter(session)]: 0,
  [stateTopic(session)]: 0,
  [canTopic(session, own.client_id)]: 0,
});
const REPLIES = 'replies';
const caller = await dialAs(REPLIES, own, 'call');
const requests = requestsTopic(session, own.client_id);
await subscribe(caller, { [repliesTopic(session, own.client_id)]: 0 });

const ask = async (text: string): Promise<Json> => {
  caller.send(publish(requests, text));
  return JSON.parse(String((await caller.expect('publish'))['payload']));
};
let asked = 0;
const rpc = (method: string, params: object, id: string | number = ++asked): Promise<Json> =>
  ask(JSON.stringify({ jsonrpc: '2.0', id, method, params }));

/** Such as never were. */
const strayKey = plantToken('a stray key', createApiKey({ principal: 'x', operator: true, now: 0 }).key);
const strayClient = plantToken('a stray client’s token', createClientToken(own.client_id).token);
const strayShare = plantToken('a stray share’s token', createShareToken(share.share_id).token);
const stray = { token: strayKey };
const nobody: CallOptions = { token: null };
const tokens = [server.key, ada.api_key, own.client_token, guest.client_token, share.token, strayKey, strayClient];
tokens.push(strayShare);

test('a JWT opens a session, and joins another by a share', async () => {
  const now = Math.floor(Date.now() / 1000);
  const jwt = await new SignJWT({ sub: 'grace', iat: now, exp: now + 3600, iss: ISSUER.issuer, aud: ISSUER.audience })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .sign(privateKey);
  plantToken('a JWT', jwt);
  tokens.push(jwt);
  const body = { client: { type: 'web' } };
  const opened = await create('the token of a JWT’s client', 'client_token', '/v1/sessions', { token: jwt, body });
  sessions.push([opened.session_id, jwt]);
  const joining = { token: jwt, body: { ...body, token: share.token } };
  await create('the token of a JWT that joined', 'client_token', '/v1/join', joining);
  assert.is((await call('GET', '/v1/sessions', { token: jwt })).status, 200);
});

test('the same JSON-RPC request again is answered without the token', async () => {
  for (const [method, field, params] of [
    ['shares.create', 'token', { label: 'twice' }],
    ['clients.register', 'client_token', { client: { type: 'api' } }],
    ['webhooks.create', 'secret', { ...HOOK, types: ['webhook_dead'] }],
  ] as const) {
    const { result: first } = await rpc(method, params, method);
    plantToken(`the token of ${method} over MQTT`, first[field]);
    forget(REPLIES);
    const { result: second } = await rpc(method, params, method);
    const { [field]: _, ...others } = first;
    assert.equal(second, others);
  }
});

test('tokens where they have no place over HTTP: in paths, queries, bodies and headers', async () => {
  for (const token of tokens) {
    const refused = [
      await call('GET', `/v1/sessions?token=${token}`),
      await call('GET', `/v1/sessions?access_token=${token}`, nobody),
      await call('GET', `${base}/events?after=${token}`),
      await call('GET', `/v1/sessions/${token}`),
      await call('GET', `/v1/executions/${token}/artifacts/%ff${token}`),
      await call('GET', `/nothing/${token}`, nobody),
      await call('PATCH', `/v1/sessions/${token}`),
      await call('DELETE', `/v1/shares/${token}`),
      await call('POST', '/v1/sessions', { body: `{"client_type":"cli","token":"${token}` }),
      await call('POST', '/v1/sessions', { body: { client_type: token } }),
      await call('POST', '/v1/sessions', { body: { client: { type: 'cli', token } } }),
      await call('POST', '/v1/join', { ...nobody, body: { token: `${token}x`, client_type: 'cli' } }),
      await call('POST', '/v1/join', { ...stray, body: { token, client_type: 'cli' } }),
      await call('POST', `${base}/shares`, { body: { constraints: { token } } }),
      await call('POST', `${base}/shares`, { body: { operations: [token], scope: [`*${token}`] } }),
      await call('POST', `${base}/commands`, { body: { command: token.slice(-40) } }),
      await call('POST', `${base}/commands`, { body: { command: 'no-op', priority: token } }),
      await call('GET', '/v1/sessions', { token: `${token}x` }),
      await call('GET', '/v1/sessions', { ...nobody, headers: { authorization: `Basic ${token}` } }),
      await call('GET', '/v1/sessions', { ...nobody, headers: { authorization: token, 'x-api-key': token } }),
      await call('GET', '/v1/sessions', { ...nobody, headers: { cookie: `token=${token}` } }),
      await call('POST', '/v1/sessions', { body: '{}', headers: { 'content-type': token } }),
      await call('GET', `/mqtt?token=${token}`, nobody),
    ];
    for (const [index, { status, text }] of refused.entries())
      assert.ok(status >= 400 && status < 500, `${index}: ${text}`);
    const headers = { traceparent: token, prefer: `wait=${token}`, 'last-event-id': token, origin: token };
    assert.is((await call('GET', base, { headers })).status, 200);
  }
});

test('tokens where they have no place over MQTT', async () => {
  for (const [n, token] of tokens.entries()) {
    const logins = [
      { clientId: own.client_id, username: own.client_id, password: `${token}x` },
      { clientId: own.client_id, username: token, password: token },
      { clientId: token, username: own.client_id, password: own.client_token },
      { clientId: `op:${token}`, username: token, password: server.key },
    ];
    for (const [m, login] of logins.entries()) {
      const client = await dial(`login ${n}, ${m}`, login);
      assert.is((await client.expect('connack'))['returnCode'], 5);
      await client.closed();
    }
    const publications = [publish(`${requests}/${token}`, token), publish(requests, token, { retain: true })];
    for (const [m, packet] of publications.entries()) {
      const client = await dialAs(`publication ${n}, ${m}`, own, `p${n}${m}`);
      client.send(packet);
      await client.closed();
    }
    const { granted } = await subscribe(caller, { [`arbor/v1/${token}`]: 0 }, 100 + n);
    assert.equal(granted, [0x80]);
    const codes = [
      await rpc('sessions.join', { token, client: { type: 'cli' } }),
      await rpc(token, {}),
      await ask(`{"jsonrpc":"2.0","id":1,"method":"sessions.get","params":{"token":"${token}"`),
      await rpc('sessions.get', { token }),
      await rpc('commands.execute', { command: token.slice(-40) }),
      await rpc('shares.create', { constraints: { token } }),
      await rpc('shares.revoke', { share_id: token }),
    ].map(({ error }) => error?.code);
    assert.equal(codes, [-32601, -32601, -32700, -32602, -32000, -32602, -32000]);
  }
});

test('a guest does what it may not, and is cut off; its client and share are dead', async () => {
  const { client_token: token } = guest;
  assert.is((await call('POST', `${base}/shares`, { token, body: {} })).status, 403);
  assert.is((await call('GET', '/v1/audit', { token })).status, 403);
  assert.is((await call('POST', `${base}/commands`, { token, body: { command: 'no-op' } })).status, 200);
  assert.is((await call('DELETE', `/v1/shares/${share.share_id}`)).status, 200);
  assert.is((await call('GET', base, { token })).status, 401);
  const joining = { ...nobody, body: { token: share.token, client_type: 'cli' } };
  assert.is((await call('POST', '/v1/join', joining)).status, 401);
});

test('the command line shows a token where it is made, and nowhere else', async () => {
  const arbor = async (name: string, words: readonly string[], env: Record<string, string> = {}): Promise<string> => {
    const process: Arbor = space.arbor(['--url', server.http, ...words], env);
    const { code, stdout, stderr } = await process.ended();
    hear(name, `${stderr}\n${name.startsWith('once') ? '' : stdout}`);
    return code === 0 ? stdout.trim() : `${code}`;
  };
  const asOperator = ['--data', server.data];
  const [made, shared, wrong, late] = await Promise.all([
    arbor('once: token create', [...asOperator, 'token', 'create', 'bob']),
    arbor('once: share', [...asOperator, 'share', session]),
    arbor('sessions with a wrong token', ['sessions'], { ARBOR_TOKEN: strayKey }),
    arbor('join with a wrong token', ['join'], { ARBOR_SHARE_TOKEN: strayShare }),
  ]);
  assert.equal([wrong, late], ['1', '1']);
  plantToken('a key of the command line', made);
  plantToken('a share of the command line', shared);
  const joined = JSON.parse(await arbor('once: join', ['join', '--detach', '--json'], { ARBOR_SHARE_TOKEN: shared }));
  plantToken('a client of the command line', joined.client_token);
  const lists = [['token', 'list'], ['shares', session, '--all'], ['sessions'], ['audit']].map((words) =>
    arbor(words.join(' '), [...asOperator, ...words, '--json']),
  );
  for (const list of await Promise.all(lists)) assert.match(list, /_id/);
});

test('no export shows one again', async () => {
  for (const format of EXPORT_FORMATS) {
    const { body } = await call('POST', `${base}/exports`, { body: { format }, headers: { prefer: 'wait=60' } });
    assert.is(body.status, 'completed');
    const { text } = await call('GET', `/v1/executions/${body.execution_id}/artifacts/export`);
    assert.ok(text.includes(session), format);
  }
});

test('no list, no event, no document and no metric shows one again', async () => {
  const events = await server.events(session);
  await eventually('all events', () => witness.seen.length >= events.length);
  hear('server-sent events', JSON.stringify(witness.seen));
  witness.end();
  hear('events by pages', JSON.stringify(events));
  for (const [id, token] of sessions)
    for (const part of [
      '',
      '/events?limit=1000',
      '/clients',
      '/shares',
      '/webhooks',
      '/executions',
      '/capabilities',
      '/commands',
    ])
      assert.is((await call('GET', `/v1/sessions/${id}${part}`, { token })).status, 200);
  for (const path of ['/v1/sessions', '/v1/keys', '/v1/audit?limit=1000', '/v1/audit/verify'])
    assert.is((await call('GET', path)).status, 200);
  for (const path of ['/metrics', '/openapi.json', '/healthz', '/readyz'])
    assert.is((await call('GET', path, nobody)).status, 200);
  for (const method of [
    'sessions.get',
    'clients.list',
    'shares.list',
    'webhooks.list',
    'capabilities.list',
    'events.list',
  ])
    assert.ok((await rpc(method, {})).result, method);
  // What is live over MQTT has come once the watcher is answered.
  await watcher.drain();
  await operator.drain();
});

/** Tokens are nowhere; the key of the operator is in its own file, and hashes are what is kept. */
const mayBeStored = (secret: string, file: string): boolean =>
  isHash(secret) || (file === 'credentials.json' && secret === OPERATOR_KEY);

test('the files of the data directory hold hashes only, while it runs and after', async () => {
  assert.equal(leaksIn(server.data, mayBeStored), {});
  assert.is(await server.stop(), 0);
  assert.equal(leaksIn(server.data, mayBeStored), {});
});

test('nothing that was heard holds a token, nor does the log; the ring alone carries hashes', () => {
  hear('the log', server.stderr());
  hear('standard output', server.stdout());
  assert.match(server.stderr(), /"level":20/);
  assert.not.match(server.stderr(), /"level":(50|60)/);
  assert.equal(
    leaks((secret, where) => isHash(secret) && where === TAP),
    {},
  );
  assert.ok((leaks()[TAP] ?? []).length > 5, 'the tap was open');
});

test.run();
