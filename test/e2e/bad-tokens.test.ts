// limit: 240 s
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompactEncrypt,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  SignJWT,
  type CryptoKey,
  type JWTHeaderParameters,
} from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CONNECT, dialTcp } from '../support/mqtt-wire.ts';
import { AUDIENCE, ed, es, ISSUER, other, rs, rs512, SET } from '../support/jwt-issuer.ts';
import { createWorkspace, type Answer, type Json } from '../support/server.ts';

/** JWTs of an issuer that a server is configured with, and such as are not: and what becomes of an address that keeps trying. */
const test = suite('bad tokens on a server');

const FAILED_LOGINS = 150;

const encrypting = await generateKeyPair('RSA-OAEP-256');

/** Paths that were asked for. */
const asked: string[] = [];
const publisher = createServer((request, reply) => {
  asked.push(request.url ?? '');
  reply.setHeader('content-type', 'application/json').end(JSON.stringify(SET));
}).listen(0, '127.0.0.1');
await once(publisher, 'listening');
const origin = `http://127.0.0.1:${(publisher.address() as AddressInfo).port}`;

const space = createWorkspace();
test.after(async () => {
  publisher.close();
  await space[Symbol.asyncDispose]();
});
const config = space.config({
  commands: ['no-op'],
  auth: { issuer: ISSUER, audience: AUDIENCE, jwks_uri: `${origin}/keys`, clock_tolerance: 0 },
  limits: { failed_logins: FAILED_LOGINS },
});
const server = await space.serve({ config });
const own = await server.open();

type Claims = Readonly<Record<string, unknown>>;
const now = (): number => Math.floor(Date.now() / 1000);
/** Undefined takes a claim away. */
const claimsOf = (changes: Claims = {}): Record<string, unknown> => {
  const all = { iss: ISSUER, aud: AUDIENCE, sub: 'ada', iat: now(), exp: now() + 600, ...changes };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
};
const sign = (
  claims: Claims = {},
  header: Partial<JWTHeaderParameters> = {},
  key: CryptoKey | Uint8Array = es.privateKey,
): Promise<string> =>
  new SignJWT(claimsOf(claims))
    .setProtectedHeader({ alg: 'ES256', kid: 'es', ...header })
    .sign(key, { crit: { exp: false, b64: false, x: false } });

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const unsigned = (alg: unknown, signature = ''): string =>
  `${part({ alg, kid: 'es' })}.${part(claimsOf())}.${signature}`;
const resigned = async (header: object): Promise<string> =>
  `${part(header)}.${(await sign()).split('.').slice(1).join('.')}`;
const hmac = async (secret: string | Uint8Array): Promise<string> =>
  sign({}, { alg: 'HS256', kid: 'rs' }, typeof secret === 'string' ? bytes(secret) : secret);
const evil = async (header: object): Promise<string> =>
  sign({ sub: 'operator' }, { kid: 'evil', ...header } as never, other.privateKey);

const BAD: Readonly<Record<string, () => Promise<string> | string>> = {
  'alg none': () => unsigned('none'),
  'alg None': () => unsigned('None'),
  'alg NONE': () => unsigned('NONE'),
  'alg nOnE': () => unsigned('nOnE'),
  'alg none with a space': () => unsigned('none '),
  'no alg': () => unsigned(undefined),
  'alg null': () => unsigned(null),
  'alg of two': () => unsigned(['none', 'ES256']),
  'alg none over a good signature': () => resigned({ alg: 'none', kid: 'es' }),
  'another alg over a good signature': () => resigned({ alg: 'EdDSA', kid: 'ed' }),
  'HS256 with the public key in PEM as the secret': async () => hmac(await exportSPKI(rs.publicKey)),
  'HS256 with the public key in JSON as the secret': () => hmac(JSON.stringify(SET.keys[2])),
  'HS256 with the modulus as the secret': () => hmac(Buffer.from(SET.keys[2]?.n ?? '', 'base64url')),
  'HS256 with the name of the key as the secret': () => hmac('rs'),
  'another issuer': () => sign({ iss: 'https://evil.example' }),
  'no issuer': () => sign({ iss: undefined }),
  'two issuers': () => sign({ iss: [ISSUER, 'https://evil.example'] }),
  'another audience': () => sign({ aud: 'elsewhere' }),
  'no audience': () => sign({ aud: undefined }),
  'an empty audience': () => sign({ aud: [] }),
  expired: () => sign({ exp: now() - 1 }),
  'expired since 1970': () => sign({ exp: 0 }),
  'expiry as a text': () => sign({ exp: '9999999999' }),
  'no expiry': () => sign({ exp: undefined }),
  'not yet valid': () => sign({ nbf: now() + 300 }),
  'issued in the future': () => sign({ iat: now() + 300 }),
  'no subject': () => sign({ sub: undefined }),
  'an empty subject': () => sign({ sub: '' }),
  'a subject that is an object': () => sign({ sub: { name: 'operator' } }),
  'an unknown key': () => evil({}),
  'another key under a known name': () => evil({ kid: 'es' }),
  'a path as the name of the key': () => evil({ kid: '../../../../dev/null' }),
  'the key of another algorithm': () => sign({}, { kid: 'rs' }),
  'an algorithm of another key': () => sign({}, { alg: 'EdDSA', kid: 'es' }, ed.privateKey),
  'an algorithm that is not allowed': () => sign({}, { alg: 'RS512', kid: 'rs512' }, rs512.privateKey),
  'a key in its header': async () => evil({ jwk: await exportJWK(other.publicKey) }),
  'the address of a key in its header': () => evil({ jku: `${origin}/evil`, x5u: `${origin}/evil` }),
  'a critical header that nobody knows': () => sign({}, { crit: ['x'], x: 1 } as never),
  'a payload that is not encoded': async () => resigned({ alg: 'ES256', kid: 'es', crit: ['b64'], b64: false }),
  'a JWT in a JWT': async () => `${part({ alg: 'ES256', kid: 'es', cty: 'JWT' })}.${part(await sign())}.${part('x')}`,
  'another payload under a good signature': async () =>
    (await sign()).replace(/\.[^.]+\./, `.${part(claimsOf({ sub: 'operator' }))}.`),
  encrypted: () =>
    new CompactEncrypt(bytes(JSON.stringify(claimsOf())))
      .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' })
      .encrypt(encrypting.publicKey),
  'no JSON': () => 'eyJ.eyJ.eyJ',
  'three dots': () => '...',
};
/** Logins that have failed so far. */
let failures = 0;
const refusal = async (token: string | null): Promise<Answer> => {
  const answer = await server.call('GET', '/v1/sessions', { token });
  failures += answer.status === 401 ? 1 : 0;
  return answer;
};
const returnCode = async (login: object): Promise<unknown> => {
  const client = await dialTcp(server.mqttPort);
  client.send({ ...CONNECT, ...login });
  const code = (await client.expect('connack'))['returnCode'];
  client.destroy();
  failures += code === 5 ? 1 : 0;
  return code;
};

const never = await refusal('never');
for (const [what, make] of Object.entries(BAD))
  test(`401 over HTTP and code 5 over MQTT, whatever is wrong: ${what}`, async () => {
    const token = await make();
    const answer = await refusal(token);
    assert.equal([answer.status, answer.text], [401, never.text]);
    const headers = ({ headers: all }: Answer): string[] => [...all].filter(([name]) => name !== 'date').map(String);
    assert.equal(headers(answer), headers(never));
    assert.is(await returnCode({ clientId: own.client_id, username: own.client_id, password: token }), 5);
  });

test('the keys were fetched from where the configuration says, and not for each token', () => {
  assert.equal([...new Set(asked)], ['/keys']);
  assert.ok(asked.length < 10, `${asked.length} times`);
});

test('good ones of every algorithm are their subject: they open sessions, join as themselves, and are no operators', async () => {
  const token = await sign();
  for (const good of [
    token,
    await sign({ aud: ['elsewhere', AUDIENCE] }),
    await sign({}, { alg: 'EdDSA', kid: 'ed' }, ed.privateKey),
    await sign({}, { alg: 'RS256', kid: 'rs' }, rs.privateKey),
  ])
    assert.is((await server.call('GET', '/v1/sessions', { token: good })).status, 200);

  const body = { client: { type: 'web' } };
  const opened = await server.call('POST', '/v1/sessions', { token, body });
  assert.is(opened.status, 201, opened.text);
  const [listed] = (await server.call('GET', '/v1/sessions', { token })).body.items;
  assert.equal([listed.session_id, listed.owner], [opened.body.session_id, 'jwt:ada']);

  const shared = await server.call('POST', `/v1/sessions/${own.session_id}/shares`, { body: {} });
  const { share_id, token: share } = shared.body;
  const joined = await server.call('POST', '/v1/join', { token, body: { ...body, token: share } });
  assert.is(joined.status, 201, joined.text);
  const clients: Json[] = (await server.call('GET', `/v1/sessions/${own.session_id}/clients`)).body.items;
  const { principal, via_share } = clients.find((each) => each.client_id === joined.body.client_id);
  assert.equal([principal, via_share], ['jwt:ada', share_id]);

  for (const path of ['/v1/audit', '/v1/audit/verify', '/v1/keys']) {
    const refused = await server.call('GET', path, { token });
    assert.equal([refused.status, refused.body.code], [403, 'security_violation']);
  }
  const operator = await sign({ sub: 'operator' });
  assert.is((await server.call('GET', '/v1/keys', { token: operator })).status, 403);
  assert.is(await returnCode({ clientId: 'op:1', username: 'operator', password: operator }), 5);
  const { client_id, client_token: password } = joined.body;
  assert.is(await returnCode({ clientId: client_id, username: client_id, password }), 0);
});

test('an address that fails too often is told to wait, over HTTP and MQTT; who is known keeps in', async () => {
  const known = await sign();
  assert.is((await server.call('GET', '/v1/sessions', { token: known })).status, 200);
  const unknown = (await server.call('POST', '/v1/keys', { body: { principal: 'bob' } })).body.api_key;
  // Until it is locked out, and for long enough for all that follows.
  for (let seconds = 0, n = 0; seconds < 30; n++) {
    assert.ok(n < 10 * FAILED_LOGINS, 'it is never locked out');
    const { status, headers } = await refusal(n % 2 === 0 ? null : 'wrong');
    seconds = Number(headers.get('retry-after'));
    if (status === 429 && seconds < 30) await sleep(seconds * 1_000);
  }
  const join = (token: string): Promise<Answer> =>
    server.call('POST', '/v1/join', { token: null, body: { token, client_type: 'cli' } });
  for (const refused of [
    await server.call('GET', '/v1/sessions', { token: 'wrong' }),
    await server.call('GET', '/v1/sessions', { token: unknown }),
    await server.call('GET', '/v1/sessions', { token: await sign({ sub: 'grace' }) }),
    await join('wrong'),
  ]) {
    assert.equal([refused.status, refused.body.code], [429, 'rate_limited'], refused.text);
    const seconds = Number(refused.headers.get('retry-after'));
    assert.ok(seconds >= 1 && seconds <= 60);
    assert.is(refused.headers.get('ratelimit-policy'), `"address";q=${FAILED_LOGINS};w=60`);
    assert.is(refused.headers.get('ratelimit'), `"address";r=0;t=${seconds}`);
  }
  const asOwn = { clientId: own.client_id, username: own.client_id };
  assert.is(await returnCode({ ...asOwn, password: 'wrong' }), 3);
  assert.is(await returnCode({ ...asOwn, password: own.client_token }), 0);
  for (const token of [server.key, known, own.client_token])
    assert.is((await server.call('GET', '/v1/sessions', { token })).status, 200);
  assert.not.match(server.stderr(), /"level":(50|60)/);
});

test('the audit has them merged by address, also over the end of the server, and their counts add up', async () => {
  assert.is(await server.stop(), 0);
  const next = await space.serve({ config });
  const { items } = (await next.call('GET', '/v1/audit?limit=1000')).body;
  const failed: Json[] = items.filter(({ type }: Json) => type === 'login_failed');
  assert.is(
    failed.reduce((sum, { data }) => sum + data.count, 0),
    failures,
  );
  assert.ok(failed.every(({ data, principal }) => data.address === '127.0.0.1' && principal === null));
  assert.ok(failed.length >= 2 && failed.length < failures / 10, `${failed.length} records`);
  const joined = items.find(({ type }: Json) => type === 'client_joined');
  assert.is(joined.principal, 'jwt:ada');
  assert.is(await next.stop(), 0);
});

test.run();
