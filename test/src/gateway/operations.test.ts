import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Operation } from '../../../src/operations/operation.ts';
import { OPERATION_TABLE, type OperationName } from '../../../src/operations/table.ts';
import { sha256 } from '../../../src/gateway/secrets.ts';
import { eventually, startGateway, type Json, type TestAnswer, type TestGateway } from '../../support/gateway.ts';

const test = suite<{ on: TestGateway }>('operations over HTTP');

test.before.each(async (context) => {
  context.on = await startGateway();
});
test.after.each(async ({ on }) => on.close());

/** Fails where an answer is not what the table says. */
const conforms = (name: OperationName, status: number, body: Json): void => {
  const schema = (OPERATION_TABLE[name] as Operation).http.answers[status];
  assert.ok(schema, `${name} does not answer ${status}`);
  const checked = schema.safeParse(body);
  assert.ok(checked.success, `${name}: ${JSON.stringify(checked.error?.issues)}`);
};

test('sessions.create answers with a client that can act', async ({ on }) => {
  const made = await on.call('POST', '/v1/sessions', { body: { client: { type: 'web', name: 'Pad' }, ttl: 60 } });
  assert.is(made.status, 201);
  conforms('sessions.create', 201, made.body);
  assert.is(made.headers.get('location'), `/v1/sessions/${made.body.session_id}`);
  assert.is(made.headers.get('cache-control'), 'no-store');
  assert.is(made.body.event_channel, `arbor/v1/sessions/${made.body.session_id}/events/#`);
  assert.equal(made.body.capabilities[0].operations, ['read', 'write']);
  const seen = await on.call('GET', `/v1/sessions/${made.body.session_id}`, { token: made.body.client_token });
  assert.is(seen.status, 200);
  conforms('sessions.get', 200, seen.body);
  assert.is(seen.body.ttl, 60);
  assert.is(seen.body.clients[0].name, 'Pad');
  const short = await on.call('POST', '/v1/sessions', { body: { client_type: 'api' } });
  assert.is(short.status, 201);
  assert.is(short.body.capabilities[0].resource_type, 'api_operations');
});

test('only the hash of a token goes round', async ({ on }) => {
  const { client_token } = await on.open();
  const client = await on.system.reads.find('client', client_token.split('.')[0]);
  assert.is(client?.context['token_hash'], sha256(client_token));
  const page = await on.system.reads.events(client?.session as never, { after: 0, limit: 100 });
  assert.not.ok(page.events.join('').includes(client_token.split('.')[1]));
  assert.not.ok(page.events.join('').includes(sha256(client_token)));
});

test('sessions.list shows the principal its own, page by page', async ({ on }) => {
  const ids = [(await on.open()).session_id, (await on.open()).session_id, (await on.open()).session_id];
  const other = await on.keyOf('bob');
  await on.call('POST', '/v1/sessions', { token: other, body: { client_type: 'cli' } });
  const first = await on.call('GET', '/v1/sessions?limit=2');
  conforms('sessions.list', 200, first.body);
  const second = await on.call('GET', `/v1/sessions?limit=2&after=${first.body.next}`);
  assert.equal(
    [...first.body.items, ...second.body.items].map((item) => item.session_id),
    ids,
  );
  assert.is(second.body.next, null);
});

test('sessions.close ends the session and its tokens, the owner still reads', async ({ on }) => {
  const { session_id, client_token } = await on.open('web');
  const closed = await on.call('DELETE', `/v1/sessions/${session_id}`, {
    headers: { 'content-type': 'application/json' },
  });
  assert.is(closed.status, 200);
  conforms('sessions.close', 200, closed.body);
  assert.is((await on.call('GET', `/v1/sessions/${session_id}`, { token: client_token })).status, 401);
  assert.is((await on.call('GET', `/v1/sessions/${session_id}`)).body.status, 'closed');
  const late = await on.call('POST', `/v1/sessions/${session_id}/commands`, { body: { command: 'work' } });
  assert.is(late.status, 409);
  assert.is(on.system.reserved.size, 0);
});

test('clients register, are listed, and leave by themselves or by the owner', async ({ on }) => {
  const { session_id, client_id, client_token } = await on.open();
  const path = `/v1/sessions/${session_id}/clients`;
  const second = await on.call('POST', path, { body: { client: { type: 'web' } } });
  assert.is(second.status, 201);
  conforms('clients.register', 201, second.body);
  const third = await on.call('POST', path, { token: client_token, body: { client_type: 'api' } });
  assert.is(third.status, 201, 'a client whose principal is the owner acts as the owner');
  const listed = await on.call('GET', path, { token: second.body.client_token });
  conforms('clients.list', 200, listed.body);
  assert.is(listed.body.items.length, 3);
  const left = await on.call('DELETE', `${path}/${second.body.client_id}`, { token: second.body.client_token });
  assert.is(left.status, 200);
  conforms('clients.leave', 200, left.body);
  assert.is((await on.call('GET', path, { token: second.body.client_token })).status, 401);
  assert.is((await on.call('DELETE', `${path}/${second.body.client_id}`)).status, 404);
  assert.is((await on.call('DELETE', `${path}/${client_id}`)).status, 200);
});

test('commands.list shows what the client may run', async ({ on }) => {
  const cli = await on.open('cli');
  const web = await on.open('web');
  const names = async ({ session_id, client_token }: Json) => {
    const listed = await on.call('GET', `/v1/sessions/${session_id}/commands`, { token: client_token });
    conforms('commands.list', 200, listed.body);
    return listed.body.items.map(({ name }: Json) => name);
  };
  assert.equal(await names(cli), ['help', 'work', 'shell', 'export']);
  assert.equal(await names(web), ['help', 'work', 'export']);
});

test('an async command answers 202 at once, and a long-poll wakes with its end', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const accepted = await on.call('POST', `/v1/sessions/${session_id}/commands`, {
    token,
    body: { command: 'work', args: { n: 3 } },
  });
  assert.is(accepted.status, 202);
  conforms('commands.execute', 202, accepted.body);
  assert.is(accepted.headers.get('location'), accepted.body.poll_url);
  assert.is(accepted.headers.get('retry-after'), '1');
  assert.is(accepted.headers.get('preference-applied'), null);
  const polled = on.call('GET', `${accepted.body.poll_url}?wait=30`, { token });
  await eventually('the long-poll waits', async () =>
    (await on.call('GET', '/metrics')).text.includes('\narbor_waiters 1'),
  );
  on.system.complete(accepted.body.execution_id, { done: true });
  const { status, body } = await polled;
  assert.is(status, 200);
  conforms('executions.get', 200, body);
  assert.is(body.status, 'completed');
  assert.equal(body.result, { done: true });
  assert.equal(body.args, { n: 3 });
  assert.match((await on.call('GET', '/metrics')).text, /\narbor_waiters 0/);
});

test('a sync command answers with its result, whichever way it ends', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const run = () => on.call('POST', `/v1/sessions/${session_id}/commands`, { token, body: { command: 'help' } });
  const completed = run();
  await eventually('it runs', () => on.system.runs.size === 1);
  on.system.complete([...on.system.runs.keys()][0] as string, { text: 'hi' });
  const { status, body } = await completed;
  assert.is(status, 200);
  conforms('commands.execute', 200, body);
  assert.equal(
    { ...body, execution_id: '' },
    { execution_id: '', status: 'completed', mode: 'sync', result: { text: 'hi' } },
  );

  const cancelled = run();
  await eventually('it runs', () => on.system.runs.size === 1);
  const id = [...on.system.runs.keys()][0] as string;
  const cancel = await on.call('DELETE', `/v1/executions/${id}`, { token });
  assert.is(cancel.status, 200);
  conforms('executions.cancel', 200, cancel.body);
  const ended = await cancelled;
  assert.is(ended.status, 200);
  assert.is(ended.body.status, 'cancelled');
  assert.is(ended.body.error.code, 'cancelled');
  assert.is((await on.call('DELETE', `/v1/executions/${id}`, { token })).status, 409);
});

test('Prefer decides the wait', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const path = `/v1/sessions/${session_id}/commands`;
  const async = await on.call('POST', path, { token, body: { command: 'help' }, headers: { prefer: 'respond-async' } });
  assert.is(async.status, 202);
  assert.is(async.headers.get('preference-applied'), 'respond-async');
  const late = await on.call('POST', path, { token, body: { command: 'help' }, headers: { prefer: 'wait=1' } });
  assert.is(late.status, 202);
  assert.is(late.headers.get('preference-applied'), 'wait=1');
  const inBody = await on.call('POST', path, { token, body: { command: 'help', wait: 0 } });
  assert.is(inBody.status, 202);
});

test('an execution that ends before the answer is written is not missed', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const { system } = on;
  // Ends in the very release that accepts it.
  const stop = system.onEvent(({ type, subject }) => {
    if (type === 'execution_started') queueMicrotask(() => system.complete(subject, 'quick'));
  });
  const { status, body } = await on.call('POST', `/v1/sessions/${session_id}/commands`, {
    token,
    body: { command: 'help' },
    headers: { prefer: 'wait=20' },
  });
  stop();
  assert.is(status, 200);
  assert.is(body.result, 'quick');
});

test('an execution that ends while its long-poll arrives is not missed', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const { body } = await on.call('POST', `/v1/sessions/${session_id}/commands`, { token, body: { command: 'work' } });
  const { reads } = on.system;
  const { find } = reads;
  // Between the first look at it and the waiting.
  const endAfterLook: typeof find = async (kind, id) => {
    const found = await find(kind, id);
    if (kind !== 'execution') return found;
    Object.assign(reads, { find });
    on.system.complete(id, 'early');
    return found;
  };
  Object.assign(reads, { find: endAfterLook });
  let status = '';
  const onAnswer = (answer: TestAnswer): void => {
    status = answer.body.status;
  };
  void on.call('GET', `${body.poll_url}?wait=60`, { token }).then(onAnswer);
  await eventually('it is answered', () => status === 'completed');
});

test('an idempotency key answers with the same execution, another body is a conflict', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const path = `/v1/sessions/${session_id}/commands`;
  const send = (args: object) =>
    on.call('POST', path, { token, body: { command: 'work', args, idempotency_key: 'k' } });
  const first = await send({ n: 1 });
  const again = await send({ n: 1 });
  assert.is(again.status, 202);
  assert.is(again.body.execution_id, first.body.execution_id);
  assert.equal([...on.system.reserved], [first.body.execution_id], 'the place of the repeat is given back');
  assert.is((await send({ n: 2 })).status, 409);
  assert.is(on.system.runs.size, 1);
  on.system.complete(first.body.execution_id, 5);
  const waited = await on.call('POST', path, {
    token,
    body: { command: 'work', args: { n: 1 }, idempotency_key: 'k' },
    headers: { prefer: 'wait=10' },
  });
  assert.is(waited.status, 200);
  conforms('commands.execute', 200, waited.body);
  assert.is(waited.body.result, 5);
});

test('a dry run checks everything and changes nothing', async ({ on }) => {
  const { session_id, client_token: token, capabilities } = await on.open();
  const path = `/v1/sessions/${session_id}/commands`;
  const events = async () => (await on.call('GET', `/v1/sessions/${session_id}/events`)).body.events.length;
  await eventually(
    'the client is attached',
    async () => (await on.call('GET', `/v1/sessions/${session_id}`, { token })).body.clients[0].status === 'attached',
  );
  const before = await events();
  const dry = await on.call('POST', `${path}?dry_run=true`, { token, body: { command: 'work' } });
  assert.is(dry.status, 200);
  conforms('commands.execute', 200, dry.body);
  assert.equal(dry.body.args, { n: 1 });
  assert.is(dry.body.capability_id, capabilities[0].id);
  assert.is((await on.call('POST', path, { token, body: { command: 'work', dry_run: true } })).status, 200);
  assert.is(
    (await on.call('POST', path, { token, body: { command: 'work', args: { n: 'x' }, dry_run: true } })).status,
    400,
  );
  assert.is(await events(), before);
  assert.is(on.system.reserved.size, 0);
});

test('executions.list pages in order of id', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const path = `/v1/sessions/${session_id}`;
  for (let n = 0; n < 3; n++)
    await on.call('POST', `${path}/commands`, { token, body: { command: 'work', args: { n } } });
  const first = await on.call('GET', `${path}/executions?limit=2`, { token });
  conforms('executions.list', 200, first.body);
  const second = await on.call('GET', `${path}/executions?limit=2&after=${first.body.next}`, { token });
  assert.equal(
    [...first.body.items, ...second.body.items].map(({ args }) => args.n),
    [0, 1, 2],
  );
});

test('a large result and artifacts are files with their SHA-256 as ETag', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const accepted = await on.call('POST', `/v1/sessions/${session_id}/commands`, { token, body: { command: 'work' } });
  const id = accepted.body.execution_id;
  const content = '<script>"large"</script>';
  const info = { name: 'result', bytes: content.length, sha256: sha256(content), media_type: 'text/html' };
  const named = { ...info, name: "Bericht 'ä' (1).html", media_type: 'no type\r\nX: y' };
  on.system.report(id, { type: 'execution.complete', start: 1, result: null, artifacts: [info, named] });
  mkdirSync(join(on.directory, 'artifacts', id), { recursive: true });
  for (const { name } of [info, named]) writeFileSync(join(on.directory, 'artifacts', id, name), content);
  const { body } = await on.call('GET', `/v1/executions/${id}`, { token });
  assert.is(body.result_url, `/v1/executions/${id}/artifacts/result`);
  assert.not.ok('result' in body);
  const file = await on.call('GET', body.result_url, { token });
  assert.is(file.text, content);
  assert.is(file.headers.get('etag'), `"${info.sha256}"`);
  assert.match(file.headers.get('content-disposition') ?? '', /^attachment/);
  assert.is(file.headers.get('x-content-type-options'), 'nosniff');
  const same = await on.call('GET', body.result_url, { token, headers: { 'if-none-match': `W/"${info.sha256}"` } });
  assert.is(same.status, 304);
  assert.is((await on.call('HEAD', body.result_url, { token })).status, 200);
  assert.is((await on.call('GET', `/v1/executions/${id}/artifacts/other`, { token })).status, 404);
  assert.is((await on.call('GET', `/v1/executions/${id}/artifacts/..%2f..%2fcredentials.json`, { token })).status, 404);
  const other = await on.call('GET', `/v1/executions/${id}/artifacts/${encodeURIComponent(named.name)}`, { token });
  assert.is(other.text, content);
  assert.is(other.headers.get('content-type'), 'application/octet-stream');
  assert.match(
    other.headers.get('content-disposition') ?? '',
    /filename\*=UTF-8''Bericht%20%27%C3%A4%27%20%281%29\.html$/,
  );
});

test('events.list pages by seq, chooses types, and says 410 outside retention', async ({ on }) => {
  const { session_id, client_token: token } = await on.open();
  const path = `/v1/sessions/${session_id}/events`;
  await on.call('POST', `/v1/sessions/${session_id}/commands`, { token, body: { command: 'work' } });
  const all = await on.call('GET', path, { token });
  conforms('events.list', 200, all.body);
  assert.equal(
    all.body.events.map(({ seq }: Json) => seq),
    all.body.events.map((_: Json, index: number) => index + 1),
  );
  const first = await on.call('GET', `${path}?limit=2`, { token });
  assert.is(first.body.next, 2);
  const chosen = await on.call('GET', `${path}?after=1&types=client_joined,execution_queued`, { token });
  assert.equal(
    chosen.body.events.map(({ type }: Json) => type),
    ['client_joined', 'execution_queued'],
  );
  on.system.forget(session_id, 2);
  const expired = await on.call('GET', `${path}?after=1`, { token });
  assert.is(expired.status, 410);
  assert.is(expired.body.code, 'cursor_expired');
  assert.is(expired.body.first, 3);
  assert.is((await on.call('GET', `${path}?after=2`, { token })).status, 200);
});

test.run();
