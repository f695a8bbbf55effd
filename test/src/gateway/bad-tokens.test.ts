// limit: 180 s
import * as fc from 'fast-check';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbeddedBroker } from '../../../brokers/embedded.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { startGateway, type TestAnswer } from '../../support/gateway.ts';
import { CONNECT, dialTcp } from '../../support/mqtt-wire.ts';
import { rawHttp, type RawAnswer } from '../../support/raw-http.ts';

/** Tokens that are not quite right: whatever is wrong with them, the outside is told the same. */
const test = suite('bad tokens');

const ISSUER = 'https://login.example';
const AUDIENCE = 'arbor';
const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
const access = createMqttAccess();
const broker = await createEmbeddedBroker({ policy: access.policy });
const on = await startGateway(
  {
    mqtt: { access, server: broker, host: '127.0.0.1', port: 0 },
    auth: {
      issuer: ISSUER,
      audience: [AUDIENCE],
      algorithms: ['ES256'],
      keys: { set: { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] } },
      clockTolerance: 0,
      maxAge: null,
    },
    limits: { failedLogins: Number.MAX_SAFE_INTEGER },
  },
  broker,
);
test.after(async () => {
  await on.close();
  await broker.close();
});

const session = await on.open();
const other = await on.open();
const shares = `/v1/sessions/${session.session_id}/shares`;
const share = (await on.call('POST', shares, { body: {} })).body;
const otherShare = (await on.call('POST', shares, { body: {} })).body;
const now = Math.floor(Date.now() / 1000);
const jwt = await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'ada', iat: now, exp: now + 3600 })
  .setProtectedHeader({ alg: 'ES256', kid: 'k' })
  .sign(privateKey);

/** Good tokens, and for each another one of its kind. */
const BEARERS: Readonly<Record<string, readonly [token: string, another: string]>> = {
  'an API key': [on.owner, on.operator.key],
  'a client’s token': [session.client_token, other.client_token],
  'a JWT': [jwt, jwt.replace(/^[^.]+/, Buffer.from('{"alg":"none"}').toString('base64url'))],
};
const SHARE = [share.token, otherShare.token] as const;

const bearer = (token: string): Promise<RawAnswer> =>
  rawHttp(on.url, ['GET /v1/sessions HTTP/1.1', `Authorization: Bearer ${token}`]);
const UNAUTHENTICATED = await bearer('nonsense');

const codeOf = ({ body }: RawAnswer): unknown => (JSON.parse(body) as { code?: unknown }).code;

/** Control characters and lines of megabytes are no HTTP; what is said of them says nothing of the token. */
const isRefusedByHttp = (answer: RawAnswer): boolean =>
  answer.headers.some((line) => line === 'Content-Type: application/problem+json') &&
  ((answer.status === 400 && codeOf(answer) === 'invalid_input') ||
    (answer.status === 413 && codeOf(answer) === 'too_large'));

const isRefused = async (token: string): Promise<void> => {
  const answer = await bearer(token);
  if ((/\p{Cc}/u.test(token) || token.length > 10_000) && isRefusedByHttp(answer)) return;
  assert.equal(answer, UNAUTHENTICATED, JSON.stringify(token.slice(0, 500)));
};

/** A login of the session's client with this password; Latin-1, as over HTTP. */
const returnCode = async (password: string, { client_id } = session): Promise<unknown> => {
  const client = await dialTcp(on.mqtt?.port ?? 0);
  client.send({ ...CONNECT, clientId: client_id, username: client_id, password: Buffer.from(password, 'latin1') });
  const [connack] = await client.closed();
  return connack?.['returnCode'] ?? null;
};

const joining = (token: unknown): Promise<TestAnswer> =>
  on.call('POST', '/v1/join', { token: null, body: { token, client_type: 'cli' } });
const shapeOf = ({ status, headers, text }: TestAnswer): unknown => [
  status,
  [...headers].filter(([name]) => name !== 'date'),
  text,
];
const NO_SHARE = shapeOf(await joining('nonsense'));

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const replaced = (token: string, at: number, char: string): string => token.slice(0, at) + char + token.slice(at + 1);
/** Another character of base64url: the next, which in the last place may stand for the same bytes. */
const nextChar = (char: string): string => ALPHABET.charAt((ALPHABET.indexOf(char) + 1) % ALPHABET.length);
const everyFlip = (token: string): string[] =>
  Array.from(token, (char, at) => replaced(token, at, nextChar(char))).concat(
    ...Array.from(ALPHABET, (char) => replaced(token, token.length - 1, char)).filter((each) => each !== token),
  );
const everyTruncation = (token: string): string[] => Array.from(token, (_, length) => token.slice(0, length));

const swapCase = (text: string): string => (text === text.toUpperCase() ? text.toLowerCase() : text.toUpperCase());

/** Every mutation of a token that has a place in it; none is the token itself. */
const mutation: fc.Arbitrary<(token: string, another: string) => string> = fc.oneof(
  fc.tuple(fc.nat(10_000), fc.integer({ min: 0, max: 255 })).map(
    ([at, code]) =>
      (token: string) =>
        replaced(token, at % token.length, String.fromCharCode(code)),
  ),
  fc.nat(10_000).map((at) => (token: string) => replaced(token, at % token.length, '')),
  fc.tuple(fc.nat(10_000), fc.string({ minLength: 1, maxLength: 20, unit: 'binary-ascii' })).map(
    ([at, text]) =>
      (token: string) =>
        token.slice(0, at % token.length) + text + token.slice(at % token.length),
  ),
  fc.string({ minLength: 1, maxLength: 40 }).map((text) => (token: string) => token + text),
  fc.nat(10_000).map((at) => (token: string) => {
    const place = at % token.length;
    return replaced(token, place, swapCase(token.charAt(place)));
  }),
  fc.nat(10_000).map((at) => (token: string, another: string) => {
    const place = at % token.length;
    return token.slice(0, place) + another.slice(place);
  }),
  fc
    .constantFrom('ark_', 'cli_', 'shr_', 'ses_', 'ARK_', 'whsec_', '')
    .map((prefix) => (token: string) => token.replace(/^[a-z]{3}_/, prefix)),
  fc.constantFrom(
    (token: string) => token + token,
    (token: string) => token.toUpperCase(),
    (token: string) => token.toLowerCase(),
    (token: string) => token.replace('.', ''),
    (token: string) => token.replace('.', '..'),
    (token: string) => token.replaceAll('-', '+').replaceAll('_', '/'),
    (token: string) => encodeURIComponent(`${token}%`),
    (token: string) => Buffer.from(token).toString('base64'),
    (token: string) => `${token}=`,
    (token: string) => `"${token}"`,
    (token: string) => Array.from(token).toReversed().join(''),
    (token: string) => `${token}\0`,
    (token: string) => `\u00ef\u00bb\u00bf${token}`,
    (token: string) => `${token}\u00c2\u00a0`,
    (token: string, another: string) => `${token.split('.')[0]}.${another.split('.').slice(1).join('.')}`,
    (token: string, another: string) => `${another.split('.')[0]}.${token.split('.').slice(1).join('.')}`,
    (token: string) => `${token},${token}`,
    (token: string) => `${token} ${token}`,
  ),
);

/** HTTP takes space around a field's value away, so that it is the same token; in MQTT it is another password. */
const isSame = (mutated: string, token: string): boolean => mutated.replace(/^ +|[ \t]+$/g, '') === token;

for (const [name, [token, another]] of Object.entries(BEARERS)) {
  test(`${name} with one character changed, at each place, and cut off at each place: the same 401`, async () => {
    assert.is((await bearer(token)).status, 200);
    for (const mutated of [...everyFlip(token), ...everyTruncation(token)]) await isRefused(mutated);
  });

  test(`${name}, mutated in any way: the same 401, or 400 and 413 where it is no HTTP`, async () => {
    await fc.assert(
      fc.asyncProperty(mutation, async (mutate) => {
        const mutated = mutate(token, another);
        fc.pre(!isSame(mutated, token) && !isSame(mutated, another));
        await isRefused(mutated);
      }),
      { numRuns: 300 },
    );
    for (const length of [8_000, 15_000, 1_000_000]) await isRefused(token + 'A'.repeat(length));
    assert.is((await bearer(token)).status, 200, 'the true one goes on');
  });
}

test('the scheme and what stands around it: bearer alone, once', async () => {
  const [token] = BEARERS['an API key'] as readonly [string, string];
  const get = (...lines: string[]): Promise<RawAnswer> => rawHttp(on.url, ['GET /v1/sessions HTTP/1.1', ...lines]);
  for (const value of ['', 'Bearer', 'Bearer ', token, `Basic ${token}`, `Bearer\t${token}`, `Bearer: ${token}`])
    assert.equal(await get(`Authorization: ${value}`), UNAUTHENTICATED, value);
  assert.equal(await get(`Authorization: Bearer wrong`, `Authorization: Bearer ${token}`), UNAUTHENTICATED);
  assert.equal(await get(`Proxy-Authorization: Bearer ${token}`, `Cookie: authorization=${token}`), UNAUTHENTICATED);
  assert.is((await get(`authorization: bearer  ${token}  `)).status, 200);
});

test('a client’s password over MQTT, changed and cut off at each place: code 5; beyond the bound no word', async () => {
  const token: string = session.client_token;
  for (const mutated of [...everyFlip(token), ...everyTruncation(token)])
    assert.is(await returnCode(mutated), 5, mutated);
  assert.is(await returnCode(token + 'A'.repeat(7_000)), 5);
  assert.is(await returnCode('A'.repeat(60_000)), null);
});

test('a client’s password over MQTT, mutated in any way: code 5', async () => {
  const [token, another] = BEARERS['a client’s token'] as readonly [string, string];
  const isWrong = async (mutated: string): Promise<void> =>
    assert.is(await returnCode(mutated), 5, JSON.stringify(mutated));
  for (const space of [' ', '\t', '\n', '\r\n', '\0', '\u00a0', '\u00ef\u00bb\u00bf'])
    for (const mutated of [space + token, token + space, token.replace('.', `${space}.`)]) await isWrong(mutated);
  await fc.assert(
    fc.asyncProperty(mutation, async (mutate) => {
      const mutated = mutate(token, another);
      fc.pre(mutated !== token);
      await isWrong(mutated);
    }),
    { numRuns: 300 },
  );
});

test('a share’s token, changed and cut off at each place: the same 401', async () => {
  for (const mutated of [...everyFlip(share.token), ...everyTruncation(share.token)])
    assert.equal(shapeOf(await joining(mutated)), NO_SHARE, mutated);
});

test('a share’s token, mutated in any way: the same 401; too long a text is a 400 that names the field', async () => {
  const unicode = fc.string({ unit: 'binary', maxLength: 100 }).map((text) => (token: string) => token + text);
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutation, unicode), async (mutate) => {
      const mutated = mutate(...SHARE);
      fc.pre(!SHARE.includes(mutated));
      const answer = await joining(mutated);
      if (mutated.length <= 200) assert.equal(shapeOf(answer), NO_SHARE, JSON.stringify(mutated));
      else assert.equal([answer.status, answer.body.errors[0].field], [400, 'token']);
    }),
    { numRuns: 300 },
  );
  for (const [length, status] of [
    [1_000, 400],
    [1_000_000, 400],
    [2_000_000, 413],
  ] as const)
    assert.is((await joining(share.token + 'A'.repeat(length))).status, status);
  for (const token of [null, 7, [share.token], { token: share.token }, undefined]) {
    const answer = await joining(token);
    assert.equal([answer.status, answer.body.errors[0].field], [400, 'token'], answer.text);
  }
  const clients = await on.call('GET', `/v1/sessions/${session.session_id}/clients`);
  assert.is(clients.body.items.length, 1, 'nobody came in');
});

test('a token is good for its own place only', async () => {
  const places = Object.values(BEARERS).map(([token]) => token);
  for (const token of places.filter((each) => each !== jwt)) assert.equal(shapeOf(await joining(token)), NO_SHARE);
  assert.is((await joining(jwt)).status, 400, 'longer than any share’s');
  await isRefused(share.token);
  for (const token of [...places.filter((each) => each !== session.client_token), share.token])
    assert.is(await returnCode(token), 5);
  assert.is(await returnCode(other.client_token), 5);
  const operator = async (username: string, password: string): Promise<unknown> => {
    const client = await dialTcp(on.mqtt?.port ?? 0);
    client.send({ ...CONNECT, clientId: 'op:1', username, password });
    const answer = (await client.expect('connack'))['returnCode'];
    client.destroy();
    return answer;
  };
  assert.is(await operator('root', on.operator.key), 0);
  for (const [username, password] of [
    ['alice', on.operator.key],
    ['alice', on.owner],
    ['root', on.owner],
    ['jwt:ada', jwt],
    ['alice', session.client_token],
  ] as const)
    assert.is(await operator(username, password), 5);
});

test('wrong credentials beside the good token of a share are a 401 all the same', async () => {
  const answer = await on.call('POST', '/v1/join', {
    token: 'wrong',
    body: { token: share.token, client_type: 'cli' },
  });
  assert.is(answer.status, 401);
});

test('afterwards nobody is locked out, no fault is in the log, and no token either', async () => {
  assert.is((await on.call('GET', '/v1/sessions')).status, 200);
  const log = on.lines.join('');
  assert.not.match(log, /"level":(50|60)/);
  for (const [token] of [...Object.values(BEARERS), SHARE])
    assert.not.ok(log.includes(token.slice(token.lastIndexOf('.') + 1)));
});

test.run();
