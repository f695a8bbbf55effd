// limit: 180 s
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { createWorkspace, type Answer, type CallOptions } from '../support/server.ts';

/** What the outside may get wrong over HTTP, or wants to: answered with a coded error, and nothing else happens. */
const test = suite('bad input over HTTP');

const space = createWorkspace();
const root = join(space.directory, 'root');
mkdirSync(join(root, 'inside'), { recursive: true });
writeFileSync(join(root, 'inside', 'a.ts'), 'export const a = 1;\n');
const secret = join(space.directory, 'secret');
mkdirSync(secret);
writeFileSync(join(secret, 'b.ts'), 'export const b = 2;\n');
symlinkSync(secret, join(root, 'link'));
symlinkSync(join(secret, 'b.ts'), join(root, 'file-link.ts'));
symlinkSync(join(secret, 'nothing'), join(root, 'dangling'));

const config = space.config({ commands: ['no-op', 'slow'], roots: [root] });
const server = await space.serve({ config });
const own = await server.open();
const foreign = await server.open();
const session = own.session_id as string;
const token = own.client_token as string;
const started = await server.execute(foreign.session_id, { command: 'no-op' }, 'wait=30');
const foreignExecution = started.body.execution_id as string;
test.after(async () => space[Symbol.asyncDispose]());

const executions = (events: readonly Event[]): number =>
  events.filter(({ type }) => type.startsWith('execution_')).length;

/** Does something that must change nothing: the log keeps what it had, no execution begins, and the server goes on. */
const unharmed = async <T>(act: () => Promise<T>): Promise<T> => {
  const before = await server.events(session);
  const answer = await act();
  const after = await server.events(session);
  assert.equal(after.slice(0, before.length), before);
  assert.is(executions(after), executions(before), 'no execution has begun or changed');
  assert.equal(
    after.map(({ seq }) => seq),
    after.map((_, index) => index + 1),
  );
  const next = await server.execute(session, { command: 'no-op', args: { value: 'next' } }, 'wait=30', token);
  assert.is(next.status, 200, next.text);
  assert.is(next.body.result.value, 'next');
  return answer;
};

/** Asserts a problem of this status and code (RFC 9457), without a word of how the server is made. */
const assertProblem = (answer: Answer, status: number, code: string): void => {
  assert.is(answer.status, status, answer.text);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.is(answer.body.code, code, answer.text);
  assert.is(answer.body.type, `urn:arbor:error:${code}`);
  assert.is(answer.body.status, status);
  assert.not.match(answer.text, /node:internal|\.ts:\d|\n\s+at /);
};

const commands = `/v1/sessions/${session}/commands`;
const post = (body: unknown, more: CallOptions = {}): Promise<Answer> =>
  server.call('POST', commands, { token, body, ...more });

const fields: readonly (readonly [name: string, body: unknown, field: string])[] = [
  ['an argument of another type', { command: 'slow', args: { ms: 'long' } }, 'args.ms'],
  ['an argument that is missing', { command: 'slow', args: {} }, 'args.ms'],
  ['an unknown argument of a strict command', { command: 'analyze', args: { way: '.' } }, 'args.way'],
  ['a NUL in a path', { command: 'analyze', args: { path: 'a\0b' } }, 'args.path'],
  ['arguments that are no object', { command: 'no-op', args: [1] }, 'args'],
  ['an unknown field', { command: 'no-op', force: true }, 'force'],
  ['a prototype as a field', '{"command":"no-op","__proto__":{"a":1}}', ''],
  ['no command', { args: {} }, 'command'],
  ['a timeout below zero', { command: 'no-op', timeout: -1 }, 'timeout'],
  ['a timeout beyond all bounds', { command: 'no-op', timeout: 1e300 }, 'timeout'],
  ['an idempotency key that is empty', { command: 'no-op', idempotency_key: '' }, 'idempotency_key'],
  ['a priority that is no whole number', { command: 'no-op', priority: 0.5 }, 'priority'],
  ['a wait beyond 60 s', { command: 'no-op', wait: 61 }, 'wait'],
  ['a list in the place of the body', [], ''],
  ['a text in the place of the body', '"no-op"', ''],
  ['null in the place of the body', 'null', ''],
  ['no body at all', undefined, 'command'],
];
for (const [name, body, field] of fields)
  test(`400: ${name}`, async () => {
    const answer = await unharmed(() => post(body));
    assertProblem(answer, 400, 'invalid_input');
    const errors = answer.body.errors as { field: string; expected: string }[];
    assert.ok(
      errors.some((error) => error.field === field && error.expected !== ''),
      answer.text,
    );
  });

test('400: arguments nested beyond the bound, and JSON nested to exhaust a stack', async () => {
  const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;
  assertProblem(await unharmed(() => post(`{"command":"no-op","args":{"value":${nested(70)}}}`)), 400, 'invalid_input');
  assertProblem(
    await unharmed(() => post(`{"command":"no-op","args":{"value":${nested(200_000)}}}`)),
    400,
    'invalid_input',
  );
});

test('400: broken JSON, and a body that is empty', async () => {
  assertProblem(await unharmed(() => post('{"command": "no-op"')), 400, 'invalid_input');
  assertProblem(await unharmed(() => post('')), 400, 'invalid_input');
});

test('404: an unknown command', async () => {
  assertProblem(await unharmed(() => post({ command: 'does-not-exist' })), 404, 'unknown_command');
  assertProblem(await unharmed(() => post({ command: 'constructor' })), 404, 'unknown_command');
});

test('413: a body beyond 1 MiB; one within it is looked at', async () => {
  const padded = (bytes: number): string => {
    const [head, tail] = ['{"command":"slow","dry_run":true,"args":{"ms":1,"pad":"', '"}}'];
    return head + 'x'.repeat(bytes - head.length - tail.length) + tail;
  };
  assertProblem(await unharmed(() => post(padded(1024 * 1024 + 1))), 413, 'too_large');
  const within = await unharmed(() => post(padded(1024 * 1024)));
  assert.is(within.status, 200, within.text);
  assert.is(within.body.dry_run, true);
});

test('415: another media type', async () => {
  for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'nonsense'])
    assertProblem(
      await unharmed(() => post('{}', { headers: { 'content-type': type } })),
      415,
      'unsupported_media_type',
    );
});

test('405 with Allow: a method that is not offered', async () => {
  const answer = await unharmed(() => server.call('PUT', commands, { token, body: {} }));
  assertProblem(answer, 405, 'method_not_allowed');
  assert.ok(answer.headers.get('allow')?.includes('POST'));
});

test('401: without, with a wrong, with a cut-off token', async () => {
  const last = token.endsWith('A') ? 'B' : 'A';
  const wrong = [
    null,
    'nonsense',
    token.slice(0, -1),
    token.slice(0, -1) + last,
    `${token}A`,
    token.slice(token.indexOf('.') + 1),
  ];
  wrong.push(`${own.client_id}.`, own.client_id, server.key.slice(0, -3), token.replace('cli_', 'ark_'));
  const texts = new Set<string>();
  for (const each of wrong) {
    const answer = await unharmed(() => post({ command: 'no-op' }, { token: each }));
    assertProblem(answer, 401, 'unauthenticated');
    assert.ok(answer.headers.get('www-authenticate')?.startsWith('Bearer'));
    texts.add(answer.text);
  }
  assert.is(texts.size, 1, 'nobody learns what was wrong with them');
  const basic = await post({ command: 'no-op' }, { token: null, headers: { authorization: `Basic ${token}` } });
  assertProblem(basic, 401, 'unauthenticated');
});

test('404: an unknown id and a foreign one answer alike, and leave no trace', async () => {
  const unknownSession = 'ses_00000000000000000000000000';
  const unknownExecution = 'exe_00000000000000000000000000';
  const foreignLog = await server.events(foreign.session_id);
  const routes: readonly (readonly [method: string, path: string, body?: object])[] = [
    ['GET', '/v1/sessions/SESSION'],
    ['DELETE', '/v1/sessions/SESSION'],
    ['GET', '/v1/sessions/SESSION/clients'],
    ['POST', '/v1/sessions/SESSION/clients', { client: { type: 'cli' } }],
    ['DELETE', `/v1/sessions/SESSION/clients/${foreign.client_id}`],
    ['GET', '/v1/sessions/SESSION/commands'],
    ['POST', '/v1/sessions/SESSION/commands', { command: 'no-op' }],
    ['POST', '/v1/sessions/SESSION/commands', { command: 'does-not-exist' }],
    ['POST', '/v1/sessions/SESSION/commands', { nonsense: 1 }],
    ['POST', '/v1/sessions/SESSION/commands', []],
    ['GET', '/v1/sessions/SESSION/executions'],
    ['GET', '/v1/sessions/SESSION/events'],
    ['GET', '/v1/sessions/SESSION/events?after=nonsense'],
    ['GET', '/v1/executions/EXECUTION'],
    ['GET', '/v1/executions/EXECUTION?wait=1'],
    ['DELETE', '/v1/executions/EXECUTION'],
    ['GET', '/v1/executions/EXECUTION/artifacts/report.md'],
  ];
  await unharmed(async () => {
    for (const [method, path, body] of routes) {
      const ask = (ses: string, exe: string): Promise<Answer> =>
        server.call(method, path.replace('SESSION', ses).replace('EXECUTION', exe), { token, ...(body && { body }) });
      const hidden = await ask(foreign.session_id, foreignExecution);
      assertProblem(hidden, 404, 'not_found');
      const absent = await ask(unknownSession, unknownExecution);
      assert.equal([absent.status, absent.text], [hidden.status, hidden.text], `${method} ${path}`);
      const malformed = await ask('ses_x', 'exe_..%2F..%2Fx');
      assert.equal([malformed.status, malformed.text], [hidden.status, hidden.text], `${method} ${path}, malformed`);
    }
    const stream = await server.call('GET', `/v1/sessions/${foreign.session_id}/events`, {
      token,
      headers: { accept: 'text/event-stream' },
    });
    assertProblem(stream, 404, 'not_found');
  });
  assert.equal(await server.events(foreign.session_id), foreignLog);
});

test('403: what the capability does not cover inside one’s own session', async () => {
  const web = (await server.call('POST', `/v1/sessions/${session}/clients`, { body: { client: { type: 'web' } } }))
    .body;
  const answer = await unharmed(() =>
    server.call('POST', '/v1/sessions', { token: web.client_token, body: { client: { type: 'cli' } } }),
  );
  assertProblem(answer, 403, 'security_violation');
});

test('a path outside the roots: the execution fails as path_refused, and says nothing of what is there', async () => {
  const refused = [
    '..',
    '../secret',
    '../nothing',
    'inside/../../secret',
    '/',
    '/etc',
    secret,
    'link',
    'link/b.ts',
    'file-link.ts',
    'dangling',
    `${root}x`,
  ];
  for (const path of refused) {
    const { status, body, text } = await server.execute(
      session,
      { command: 'analyze', args: { path } },
      'wait=60',
      token,
    );
    assert.is(status, 200, text);
    assert.equal([body.status, body.error.code, path], ['failed', 'path_refused', path]);
    assert.equal(
      body.error.errors.map((error: { field: string }) => error.field),
      ['args.path'],
    );
    assert.not.match(text, /b\.ts"|export const/);
  }
  for (const path of ['.', 'inside', 'inside/a.ts', root]) {
    const { body, text } = await server.execute(session, { command: 'analyze', args: { path } }, 'wait=60', token);
    assert.is(body.status, 'completed', text);
  }
  await unharmed(async () => undefined);
});

test('afterwards every execution has ended once and the server is ready', async () => {
  const ends = (await server.events(session)).filter(({ type }) => /^execution_(completed|failed)$/.test(type));
  const queued = (await server.events(session)).filter(({ type }) => type === 'execution_queued');
  assert.equal(
    ends.map(({ data }) => data['execution_id']).toSorted(),
    queued.map(({ data }) => data['execution_id']).toSorted(),
  );
  assert.is((await server.call('GET', '/readyz', { token: null })).status, 200);
  assert.not.match(server.stderr(), /"level":(50|60)/);
});

test.run();
