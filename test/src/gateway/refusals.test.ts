import { connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ERRORS, isProblem, problem, type ErrorCode } from '../../../machines/error.ts';
import { createApiKey } from '../../../src/gateway/keys.ts';
import { eventually, startGateway, type Json, type TestAnswer, type TestGateway } from '../../support/gateway.ts';

const test = suite<{ on: TestGateway; session: Json }>('refusals over HTTP');

test.before.each(async (context) => {
  context.on = await startGateway();
  context.session = await context.on.open('web');
});
test.after.each(async ({ on }) => on.close());

/** RFC 9457, and the row of the table of errors. */
const isRefused = (answer: TestAnswer, code: ErrorCode, fields?: readonly string[]): void => {
  assert.is(answer.body?.code, code, answer.text);
  assert.is(answer.status, ERRORS[code].status);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.ok(isProblem(answer.body));
  assert.is(answer.body.type, `urn:arbor:error:${code}`);
  assert.is(answer.body.title, ERRORS[code].title);
  assert.is(answer.body.status, answer.status);
  assert.not.match(answer.text, /node_modules|\.ts\b|at .*:\d+/);
  if (fields !== undefined)
    assert.equal(
      (answer.body as Json).errors.map(({ field }: Json) => field),
      fields,
    );
};

const INPUT: readonly (readonly [what: string, path: string, body: unknown, fields: readonly string[]])[] = [
  ['no client', '/v1/sessions', {}, ['client.type']],
  ['a type that is none', '/v1/sessions', { client: { type: 'fax' } }, ['client.type']],
  ['two types', '/v1/sessions', { client: { type: 'cli' }, client_type: 'web' }, ['client_type']],
  ['an unknown field', '/v1/sessions', { client_type: 'cli', colour: 'red' }, ['colour']],
  ['an unknown field within', '/v1/sessions', { client: { type: 'cli', age: 3 } }, ['client.age']],
  ['a name too long', '/v1/sessions', { client: { type: 'cli', name: 'x'.repeat(101) } }, ['client.name']],
  ['a ttl of the wrong type', '/v1/sessions', { client_type: 'cli', ttl: '60' }, ['ttl']],
  ['a ttl that is no time', '/v1/sessions', { client_type: 'cli', ttl: -1 }, ['ttl']],
  ['an array', '/v1/sessions', [], ['']],
  ['null', '/v1/sessions', 'null', ['']],
  ['a number', '/v1/sessions', '5', ['']],
  ['nothing', '/v1/sessions', '', ['client.type']],
  ['broken JSON', '/v1/sessions', '{"client_type":', ['']],
  ['a prototype', '/v1/sessions', '{"client_type":"cli","__proto__":{"a":1}}', ['']],
  ['no command', '/commands', { args: {} }, ['command']],
  ['args that are no object', '/commands', { command: 'work', args: [1] }, ['args']],
  ['an argument of the wrong type', '/commands', { command: 'work', args: { n: 'three' } }, ['args.n']],
  [
    'arguments without end',
    '/commands',
    `{"command":"work","args":{"n":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`,
    ['args'],
  ],
  ['an unknown argument', '/commands', { command: 'work', args: { m: 3 } }, ['args.m']],
  ['a wait beyond the bound', '/commands', { command: 'work', wait: 61 }, ['wait']],
  ['a wait below', '/commands', { command: 'work', wait: -1 }, ['wait']],
  ['a timeout of nothing', '/commands', { command: 'work', timeout: 0 }, ['timeout']],
  ['a priority with a fraction', '/commands', { command: 'work', priority: 0.5 }, ['priority']],
  ['an empty key', '/commands', { command: 'work', idempotency_key: '' }, ['idempotency_key']],
  ['a dry run that is neither', '/commands?dry_run=maybe', { command: 'work' }, ['dry_run']],
  ['an unknown parameter', '/commands?dryrun=true', { command: 'work' }, ['dryrun']],
  ['a page of nothing', '/events?limit=0', undefined, ['limit']],
  ['a page too large', '/events?limit=1001', undefined, ['limit']],
  ['a cursor that is no number', '/events?after=abc', undefined, ['after']],
  ['a cursor below', '/events?after=-1', undefined, ['after']],
  ['a parameter twice', '/events?limit=1&limit=2', undefined, ['limit']],
  ['a type that is none', '/events?types=client_joined,birthday', undefined, ['types']],
];

test('every wrong input is a 400 that names the field', async ({ on, session }) => {
  for (const [what, path, body, fields] of INPUT) {
    const url = path.startsWith('/v1') ? path : `/v1/sessions/${session.session_id}${path}`;
    const answer = await on.call(body === undefined ? 'GET' : 'POST', url, { body });
    try {
      isRefused(answer, 'invalid_input', fields);
    } catch (error) {
      throw new Error(`${what}: ${answer.text}`, { cause: error });
    }
  }
});

test('wrong credentials of every kind are the same 401', async ({ on, session }) => {
  const { key } = createApiKey({ principal: 'alice', operator: false, now: 0 });
  const [id, secret] = session.client_token.split('.');
  const wrong = [
    null,
    'x',
    key,
    `${on.owner}x`,
    `${on.owner.slice(0, -2)}AA`,
    `${id}.${secret.slice(1)}A`,
    `${id}.`,
    id,
    session.client_token.replace('cli_', 'ark_'),
  ];
  const bodies = new Set<string>();
  for (const token of wrong) {
    const answer = await on.call('GET', '/v1/sessions', { token });
    isRefused(answer, 'unauthenticated');
    assert.is(answer.headers.get('www-authenticate'), 'Bearer');
    bodies.add(answer.text);
  }
  assert.is(bodies.size, 1);
  const revoked = createApiKey({ principal: 'alice', operator: false, now: 0 });
  await on.system.keys.put({ ...revoked.stored, revoked_at: 1 });
  isRefused(await on.call('GET', '/v1/sessions', { token: revoked.key }), 'unauthenticated');
  // Before anything else is looked at: a wrong body of nobody stays a 401.
  isRefused(await on.call('POST', '/v1/sessions', { token: null, body: '{' }), 'unauthenticated');
});

test('out of sight and absent look alike', async ({ on, session }) => {
  const stranger = await on.keyOf('mallory');
  const other = await on.open('web');
  const work = await on.call('POST', `/v1/sessions/${session.session_id}/commands`, { body: { command: 'work' } });
  const flip = (id: string) => `${id.slice(0, -1)}${id.endsWith('0') ? '1' : '0'}`;
  const paths: (readonly [method: string, path: (session: string, execution: string) => string, body?: object])[] = [
    ['GET', (id) => `/v1/sessions/${id}`],
    ['DELETE', (id) => `/v1/sessions/${id}`],
    ['GET', (id) => `/v1/sessions/${id}/events`],
    ['GET', (id) => `/v1/sessions/${id}/clients`],
    ['POST', (id) => `/v1/sessions/${id}/clients`, { client_type: 'cli' }],
    ['DELETE', (id) => `/v1/sessions/${id}/clients/${session.client_id}`],
    ['GET', (id) => `/v1/sessions/${id}/commands`],
    ['POST', (id) => `/v1/sessions/${id}/commands`, { command: 'shell' }],
    ['POST', (id) => `/v1/sessions/${id}/commands`, { wrong: true }],
    ['GET', (id) => `/v1/sessions/${id}/executions`],
    ['GET', (_, id) => `/v1/executions/${id}`],
    ['DELETE', (_, id) => `/v1/executions/${id}`],
    ['GET', (_, id) => `/v1/executions/${id}/artifacts/result`],
  ];
  const events = async () => (await on.call('GET', `/v1/sessions/${session.session_id}/events`)).body.events.length;
  const before = await events();
  for (const token of [stranger, on.operator.key, other.client_token])
    for (const [method, path, body] of paths) {
      const hidden = await on.call(method, path(session.session_id, work.body.execution_id), { token, body });
      const absent = await on.call(method, path(flip(session.session_id), flip(work.body.execution_id)), {
        token,
        body,
      });
      isRefused(hidden, 'not_found');
      assert.is(hidden.text, absent.text);
      const strip = (answer: TestAnswer) => [...answer.headers].filter(([name]) => name !== 'date');
      assert.equal(strip(hidden), strip(absent));
    }
  assert.is(await events(), before, 'no trace in the session');
  isRefused(await on.call('GET', '/v1/sessions/nonsense'), 'not_found');
});

test('inside one’s own session, what the capability does not cover is a 403 that says why', async ({ on, session }) => {
  const token = session.client_token;
  const path = `/v1/sessions/${session.session_id}/commands`;
  const shell = await on.call('POST', path, { token, body: { command: 'shell', args: { wrong: true } } });
  isRefused(shell, 'security_violation');
  assert.is(shell.body.reason, 'operation');
  isRefused(await on.call('POST', path, { token, body: { command: 'rm' } }), 'unknown_command');
  isRefused(await on.call('POST', '/v1/sessions', { token, body: { client_type: 'cli' } }), 'security_violation');
  assert.is(on.system.reserved.size, 0);
});

test('what the ring refuses is answered as it says, and the place is given back', async ({ on, session }) => {
  const path = `/v1/sessions/${session.session_id}/commands`;
  for (const code of ['overloaded', 'read_only', 'timed_out', 'conflict'] as const) {
    on.system.answerNext({ ok: false, problem: problem(code, 'full', { retry_after: 2.5 }) });
    const answer = await on.call('POST', path, { body: { command: 'work' } });
    isRefused(answer, code);
    assert.is(answer.headers.get('retry-after'), '3');
  }
  assert.is(on.system.reserved.size, 0);
});

test('nothing is changed while the server is not ready, but reads go on', async ({ on, session }) => {
  on.system.setReadiness({ ready: false, state: 'draining', detail: 'going' });
  const refused = await on.call('POST', `/v1/sessions/${session.session_id}/commands`, { body: { command: 'work' } });
  isRefused(refused, 'unavailable');
  assert.is(refused.headers.get('retry-after'), '1');
  assert.is((await on.call('GET', `/v1/sessions/${session.session_id}`)).status, 200);
  const ready = await on.call('GET', '/readyz', { token: null });
  assert.is(ready.status, 503);
  assert.is((await on.call('GET', '/healthz', { token: null })).status, 200);
  on.system.setReadiness({ ready: false, state: 'read_only', detail: 'no space' });
  isRefused(await on.call('DELETE', `/v1/sessions/${session.session_id}`), 'read_only');
});

test('a full queue of the whole server refuses before anything is accepted', async ({ on, session }) => {
  on.system.setQueued(100_000);
  const answer = await on.call('POST', `/v1/sessions/${session.session_id}/commands`, { body: { command: 'work' } });
  isRefused(answer, 'overloaded');
  assert.is(answer.headers.get('retry-after'), '5');
});

test('a store that cannot be read is a fault, told without details', async ({ on, session }) => {
  const { actor } = on.system.reads;
  Object.assign(on.system.reads, { actor: () => Promise.reject(new Error('SELECT failed in /secret/place')) });
  const answer = await on.call('GET', `/v1/sessions/${session.session_id}`);
  isRefused(answer, 'internal');
  assert.not.match(answer.text, /secret/);
  assert.ok(
    on.lines.some((line) => line.includes('/secret/place')),
    'the log knows',
  );
  Object.assign(on.system.reads, { actor });
});

test('the server’s own refusals are problems as well', async ({ on, session }) => {
  const session_path = `/v1/sessions/${session.session_id}`;
  isRefused(await on.call('GET', '/nothing', { token: null }), 'not_found');
  const put = await on.call('PUT', session_path, { body: {} });
  isRefused(put, 'method_not_allowed');
  assert.is(put.headers.get('allow'), 'GET, DELETE');
  const text = await on.call('POST', '/v1/sessions', { body: 'hello', headers: { 'content-type': 'text/plain' } });
  isRefused(text, 'unsupported_media_type');
  const large = await on.call('POST', '/v1/sessions', {
    body: { client: { type: 'cli', name: 'x'.repeat(1_100_000) } },
  });
  isRefused(large, 'too_large');
  isRefused(await on.call('GET', `/v1/sessions/${'x'.repeat(500)}`), 'not_found');
  isRefused(await on.call('GET', '/v1/sessions/%ff'), 'invalid_input');
});

/** What a server answers to raw bytes. */
const raw = (port: number, bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => void socket.write(bytes));
    socket
      .setTimeout(10_000, () => reject(new Error('no answer')))
      .on('data', (chunk) => {
        answer += chunk;
      })
      .on('close', () => resolve(answer))
      .on('error', reject);
  });

test('what is no HTTP is answered with a problem too', async ({ on }) => {
  const port = Number(new URL(on.url).port);
  for (const [bytes, code] of [
    ['NONSENSE\r\n\r\n', 'invalid_input'],
    [`GET / HTTP/1.1\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`, 'too_large'],
  ] as const) {
    const answer = await raw(port, bytes);
    assert.match(answer, new RegExp(`^HTTP/1.1 ${ERRORS[code].status}`));
    assert.match(answer, /application\/problem\+json/);
    assert.is(JSON.parse(answer.split('\r\n\r\n')[1] as string).code, code);
  }
});

test('an address with too many failed logins is refused for a while; who is known is not', async () => {
  const on = await startGateway({ limits: { failedLogins: 3 } });
  try {
    const { client_token: token, session_id } = await on.open();
    for (let n = 0; n < 3; n++) isRefused(await on.call('GET', '/v1/sessions', { token: 'wrong' }), 'unauthenticated');
    const blocked = await on.call('GET', '/v1/sessions', { token: 'wrong' });
    isRefused(blocked, 'rate_limited');
    const after = blocked.headers.get('retry-after');
    assert.ok(Number(after) > 0);
    assert.is(blocked.headers.get('ratelimit-policy'), '"address";q=3;w=60');
    assert.is(blocked.headers.get('ratelimit'), `"address";r=0;t=${after}`);
    assert.is((await on.call('GET', `/v1/sessions/${session_id}`, { token })).status, 200);
    on.system.advance(60_000);
    isRefused(await on.call('GET', '/v1/sessions', { token: 'wrong' }), 'unauthenticated');
  } finally {
    await on.close();
  }
});

test('long-polls and streams are bounded together', async () => {
  const on = await startGateway({ limits: { streams: 1 } });
  try {
    const { session_id } = await on.open();
    const path = `/v1/sessions/${session_id}`;
    const work = await on.call('POST', `${path}/commands`, { body: { command: 'work' } });
    const waiting = on.call('GET', `${work.body.poll_url}?wait=30`);
    await eventually('it waits', async () => (await on.call('GET', '/metrics')).text.includes('\narbor_streams 1'));
    isRefused(await on.call('GET', `${work.body.poll_url}?wait=30`), 'overloaded');
    isRefused(await on.call('GET', `${path}/events`, { headers: { accept: 'text/event-stream' } }), 'overloaded');
    // An accepted execution stays accepted: it is answered as one that goes on.
    const accepted = await on.call('POST', `${path}/commands`, { body: { command: 'help' } });
    assert.is(accepted.status, 202);
    on.system.complete(work.body.execution_id, 1);
    assert.is((await waiting).status, 200);
    assert.match((await on.call('GET', '/metrics')).text, /\narbor_streams 0/);
  } finally {
    await on.close();
  }
});

test('a client that is cut loses its long-poll', async ({ on, session }) => {
  const { session_id, client_id, client_token: token } = session;
  const work = await on.call('POST', `/v1/sessions/${session_id}/commands`, { body: { command: 'work' } });
  const waiting = on.call('GET', `${work.body.poll_url}?wait=60`, { token });
  await eventually('it waits', async () => (await on.call('GET', '/metrics')).text.includes('\narbor_waiters 1'));
  await on.call('DELETE', `/v1/sessions/${session_id}/clients/${client_id}`);
  isRefused(await waiting, 'unauthenticated');
});

test.run();
