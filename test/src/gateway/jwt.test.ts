import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, exportSPKI, SignJWT, UnsecuredJWT, type JWTPayload, type CryptoKey } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createJwtVerifier, jwksSchema, type JwtIssuer, type JwtVerifier } from '../../../src/gateway/jwt.ts';
import { createLog } from '../../../src/gateway/log.ts';
import { eventually, startGateway } from '../../support/gateway.ts';
import { AUDIENCE, ed, es, ISSUER, other, rs, rs512, SET } from '../../support/jwt-issuer.ts';

/** 2026-01-01 */
const START = 1_767_225_600;

interface Signing {
  readonly alg?: string;
  readonly kid?: string;
  readonly key?: CryptoKey | Uint8Array;
}

const CLAIMS: JWTPayload = { iss: ISSUER, aud: AUDIENCE, sub: 'ada', iat: START, exp: START + 600 };

/** Claims to change; undefined takes one away. */
type Changes = { readonly [Name in keyof JWTPayload]: unknown };

const sign = (claims: Changes = {}, { alg = 'ES256', kid = 'es', key = es.privateKey }: Signing = {}) => {
  const all = Object.fromEntries(Object.entries({ ...CLAIMS, ...claims }).filter(([, value]) => value !== undefined));
  return new SignJWT(all).setProtectedHeader({ alg, kid }).sign(key);
};

interface Bench {
  readonly verifier: JwtVerifier;
  readonly lines: string[];
  readonly at: (seconds: number) => void;
}

const bench = (more: Partial<JwtIssuer> = {}): Bench => {
  const lines: string[] = [];
  let now = START * 1_000;
  const issuer: JwtIssuer = {
    issuer: ISSUER,
    audience: [AUDIENCE],
    algorithms: ['EdDSA', 'ES256', 'RS256', 'PS256'],
    keys: { set: SET },
    clockTolerance: 5,
    maxAge: null,
    ...more,
  };
  const log = createLog({ destination: { write: (line) => void lines.push(line) } });
  const verifier = createJwtVerifier(issuer, { log, now: () => now });
  return {
    verifier,
    lines,
    at: (seconds) => {
      now = (START + seconds) * 1_000;
    },
  };
};

const test = suite('JWTs');

test('a token of the issuer is its subject, as a principal of its own kind', async () => {
  const { verifier } = bench();
  for (const signing of [
    {},
    { alg: 'EdDSA', kid: 'ed', key: ed.privateKey },
    { alg: 'RS256', kid: 'rs', key: rs.privateKey },
  ]) {
    const text = await sign({}, signing);
    assert.not.ok(verifier.isKnown(text));
    assert.equal(await verifier.verify(text), {
      kind: 'jwt',
      principal: 'jwt:ada',
      operator: false,
      expires_at: (START + 605) * 1_000,
    });
    assert.ok(verifier.isKnown(text));
  }
  assert.is((await verifier.verify(await sign({ aud: ['elsewhere', AUDIENCE] })))?.principal, 'jwt:ada');
});

const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const BAD: readonly (readonly [what: string, make: () => Promise<string> | string])[] = [
  ['alg none', () => new UnsecuredJWT(CLAIMS).encode()],
  [
    'alg none with a signature',
    async () => `${b64({ alg: 'none', kid: 'es' })}.${(await sign()).split('.').slice(1).join('.')}`,
  ],
  ['alg None', () => `${b64({ alg: 'None' })}.${b64(CLAIMS)}.`],
  [
    'HS256 with the public key in PEM as the secret',
    async () => sign({}, { alg: 'HS256', kid: 'rs', key: new TextEncoder().encode(await exportSPKI(rs.publicKey)) }),
  ],
  [
    'HS256 with the public key in JSON as the secret',
    () => sign({}, { alg: 'HS256', kid: 'rs', key: new TextEncoder().encode(JSON.stringify(SET.keys[2])) }),
  ],
  ['an algorithm that is not allowed', () => sign({}, { alg: 'RS512', kid: 'rs512', key: rs512.privateKey })],
  ['another audience', () => sign({ aud: 'elsewhere' })],
  ['an audience that only begins alike', () => sign({ aud: 'arbor2' })],
  ['no audience', () => sign({ aud: undefined })],
  ['another issuer', () => sign({ iss: 'https://evil.example' })],
  ['the issuer with a slash', () => sign({ iss: `${ISSUER}/` })],
  ['no issuer', () => sign({ iss: undefined })],
  ['expired', () => sign({ exp: START - 5 })],
  ['no expiry', () => sign({ exp: undefined })],
  ['an expiry that is text', () => sign({ exp: String(START + 600) })],
  ['an expiry beyond all time', () => sign({ exp: Number.MAX_VALUE })],
  ['valid later', () => sign({ nbf: START + 6 })],
  ['issued later', () => sign({ iat: START + 6 })],
  ['issued as text', () => sign({ iat: 'now' })],
  ['no subject', () => sign({ sub: undefined })],
  ['an empty subject', () => sign({ sub: '' })],
  ['a subject that is a number', () => sign({ sub: 7 })],
  ['a subject too long', () => sign({ sub: 'x'.repeat(201) })],
  ['a subject with a line feed', () => sign({ sub: 'ada\nroot' })],
  ['a subject with a NUL', () => sign({ sub: 'ada\0' })],
  ['a subject that is no text', () => sign({ sub: 'ada\ud800' })],
  ['another key under the same name', () => sign({}, { key: other.privateKey })],
  ['an unknown key', () => sign({}, { kid: 'gone', key: other.privateKey })],
  ['a key of another kind', () => sign({}, { alg: 'EdDSA', kid: 'es', key: ed.privateKey })],
  ['larger than 8 KiB', () => sign({ extra: 'x'.repeat(8_192) })],
  ['truncated', async () => (await sign()).slice(0, -4)],
  ['without its signature', async () => `${(await sign()).split('.').slice(0, 2).join('.')}.`],
  ['with another payload', async () => (await sign()).replace(/\.[^.]+\./, `.${b64({ ...CLAIMS, sub: 'root' })}.`)],
  ['two parts', () => 'a.b'],
  ['four parts', async () => `${await sign()}.x`],
  ['padding', async () => `${await sign()}==`],
  ['no JSON', () => 'abc.def.ghi'],
  [
    'a key in its header',
    async () => {
      const header = { alg: 'ES256', jwk: await exportJWK(other.publicKey) };
      return new SignJWT(CLAIMS).setProtectedHeader(header as never).sign(other.privateKey);
    },
  ],
  [
    'a critical header that nobody knows',
    async () => {
      const header = { alg: 'ES256', kid: 'es', crit: ['exp'], exp: 1 };
      return new SignJWT(CLAIMS).setProtectedHeader(header as never).sign(es.privateKey, { crit: { exp: false } });
    },
  ],
];

test('every token that does not hold is none, without a throw', async () => {
  const { verifier } = bench();
  for (const [what, make] of BAD) {
    const text = await make();
    assert.is(await verifier.verify(text), null, what);
    assert.not.ok(verifier.isKnown(text), what);
  }
});

test('clocks may differ by the tolerance, and no more', async () => {
  const { verifier, at } = bench();
  const early = await sign({ nbf: START + 5, iat: START + 5 });
  assert.ok(await verifier.verify(early));
  const text = await sign({ exp: START + 60 });
  at(64.999);
  assert.ok(await verifier.verify(text));
  at(65);
  assert.is(await verifier.verify(text), null);
});

test('a token that was good is refused from its end on, though it is remembered', async () => {
  const { verifier, at } = bench({ clockTolerance: 0 });
  const text = await sign({ exp: START + 10 });
  assert.ok(await verifier.verify(text));
  at(9.999);
  assert.ok(verifier.isKnown(text));
  assert.ok(await verifier.verify(text));
  at(10);
  assert.not.ok(verifier.isKnown(text));
  assert.is(await verifier.verify(text), null);
});

test('a maximal age ends a token before its expiry, and wants to know when it was issued', async () => {
  const { verifier, at } = bench({ maxAge: 30, clockTolerance: 0 });
  const text = await sign();
  assert.is((await verifier.verify(text))?.expires_at, (START + 30) * 1_000);
  assert.is(await verifier.verify(await sign({ iat: undefined })), null);
  at(31);
  assert.is(await verifier.verify(text), null);
});

test('a key set holds public keys only', () => {
  assert.ok(jwksSchema.safeParse(SET).success);
  for (const keys of [[], [{ kty: 'oct', k: 'c2VjcmV0' }], [{ ...SET.keys[0], d: 'private' }], ['x'], undefined])
    assert.not.ok(jwksSchema.safeParse({ keys }).success, JSON.stringify(keys));
});

interface Publisher {
  readonly uri: string;
  asked: number;
  answer: { status: number; body: string };
  readonly server: Server;
}

const publish = async (): Promise<Publisher> => {
  const server = createServer((_, reply) => {
    publisher.asked += 1;
    reply.writeHead(publisher.answer.status, { 'content-type': 'application/json' }).end(publisher.answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const publisher: Publisher = {
    uri: `http://127.0.0.1:${port}/keys`,
    asked: 0,
    answer: { status: 200, body: JSON.stringify(SET) },
    server,
  };
  return publisher;
};

test('keys are fetched once, and not again for each unknown one', async () => {
  const publisher = await publish();
  try {
    const { verifier } = bench({ keys: { uri: publisher.uri } });
    assert.ok(await verifier.verify(await sign()));
    for (let n = 0; n < 5; n++) {
      assert.ok(await verifier.verify(await sign({ sub: `s${n}` })));
      assert.is(await verifier.verify(await sign({}, { kid: `k${n}`, key: other.privateKey })), null);
    }
    assert.is(publisher.asked, 1);
  } finally {
    publisher.server.close();
  }
});

test('keys that cannot be fetched make no token good: one line in the log, and a pause before the next attempt', async () => {
  const publisher = await publish();
  try {
    for (const answer of [
      { status: 500, body: 'no' },
      { status: 302, body: '' },
      { status: 200, body: 'no JSON' },
      { status: 200, body: '{"keys":5}' },
    ]) {
      publisher.asked = 0;
      publisher.answer = answer;
      const { verifier, lines, at } = bench({ keys: { uri: publisher.uri } });
      const text = await sign();
      for (let n = 0; n < 3; n++) assert.is(await verifier.verify(text), null);
      assert.is(publisher.asked, 1, answer.body);
      assert.is(lines.length, 1);
      assert.match(lines[0] as string, 'could not be fetched');
      assert.not.match(lines[0] as string, text);
      publisher.answer = { status: 200, body: JSON.stringify(SET) };
      at(5);
      assert.ok(await verifier.verify(text), 'it is tried again');
    }
  } finally {
    publisher.server.close();
  }
});

/** A token of now, for a gateway with the true clock. */
const fresh = (claims: Changes = {}) => {
  const now = Math.floor(Date.now() / 1_000);
  return sign({ iat: now, exp: now + 600, ...claims });
};

const GATEWAY_ISSUER: JwtIssuer = {
  issuer: ISSUER,
  audience: [AUDIENCE],
  algorithms: ['ES256'],
  keys: { set: SET },
  clockTolerance: 0,
  maxAge: null,
};

test('over HTTP a bad token is the same 401 as any wrong credentials, and says nothing', async () => {
  const on = await startGateway({ auth: GATEWAY_ISSUER });
  try {
    const bodies = new Set<string>();
    bodies.add((await on.call('GET', '/v1/sessions', { token: 'wrong' })).text);
    for (const [, make] of BAD) {
      const answer = await on.call('GET', '/v1/sessions', { token: await make() });
      assert.is(answer.status, 401);
      bodies.add(answer.text);
    }
    assert.is(bodies.size, 1);
    const good = await fresh();
    assert.is((await on.call('GET', '/v1/sessions', { token: good })).status, 200);
    const keys = await on.call('GET', '/v1/keys', { token: good });
    assert.not.equal(keys.status, 200, 'no JWT is an operator');
    assert.not.match(on.lines.join(''), good.split('.')[2] as string);
  } finally {
    await on.close();
  }
});

test('a token is kept out of the log by its shape', async () => {
  const lines: string[] = [];
  const log = createLog({ destination: { write: (line) => void lines.push(line) } });
  const text = await sign();
  log.info({ note: text }, `refused ${text}`);
  for (const part of text.split('.')) assert.not.match(lines.join(''), part);
});

test('without an issuer no JWT is anybody', async () => {
  const on = await startGateway();
  try {
    assert.is((await on.call('GET', '/v1/sessions', { token: await fresh() })).status, 401);
  } finally {
    await on.close();
  }
});

test('a stream ends with the token that opened it', async () => {
  const on = await startGateway({ auth: GATEWAY_ISSUER, limits: { heartbeatMs: 20 } });
  try {
    const token = await fresh();
    const opened = await on.call('POST', '/v1/sessions', { token, body: { client: { type: 'cli' } } });
    assert.is(opened.status, 201, opened.text);
    const stream = await fetch(`${on.url}/v1/sessions/${opened.body.session_id}/events`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    });
    assert.is(stream.status, 200);
    let ended = false;
    const read = stream.text().then(() => {
      ended = true;
    });
    assert.not.ok(ended);
    on.system.advance(600_000);
    await eventually('the stream ends', () => ended);
    await read;
  } finally {
    await on.close();
  }
});

test.run();
