// limit: 240 s
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { EXPORT_FORMATS } from '../../src/operations/export-formats.ts';
import { openEventReceiver } from '../support/event-receiver.ts';
import { createWorkspace, eventually, type Answer, type Arbor, type Json } from '../support/server.ts';

/** The command `export`, by its operation and by the command line, with the journal and the threads of a server. */
const test = suite('exports');

const space = createWorkspace();
const server = await space.serve({
  config: space.config({ commands: ['no-op', 'talk'], webhooks: { allow: ['127.0.0.1/32'] } }),
});
test.after(async () => space[Symbol.asyncDispose]());

const own = await server.open();
const session: string = own.session_id;
await server.execute(session, { command: 'talk', args: { chunks: 500, size: 2_000 } }, 'wait=60');

const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const exported = (body: object, prefer = 'wait=60', token = server.key): Promise<Answer> =>
  server.call('POST', `/v1/sessions/${session}/exports`, { body, headers: { prefer }, token });
const artifactOf = (execution: string, headers = {}): Promise<Answer> =>
  server.call('GET', `/v1/executions/${execution}/artifacts/export`, { headers });
const arbor = (...args: string[]): Arbor => space.arbor(['--url', server.http, '--data', server.data, ...args]);

/** Who joins by a share; answers the token. */
const guestOf = async (share: object): Promise<string> => {
  const { body } = await server.call('POST', `/v1/sessions/${session}/shares`, { body: share });
  const joining = { token: null, body: { token: body.token, client_type: 'cli' } };
  return (await server.call('POST', '/v1/join', joining)).body.client_token;
};

test('every format: on disk whole, with its size and SHA-256, its progress, and how long it is kept', async () => {
  for (const format of EXPORT_FORMATS) {
    const { status, body, text } = await exported({ format });
    assert.equal([status, body.status], [200, 'completed'], text);
    const { execution_id, result } = body;
    const file = await artifactOf(execution_id);
    assert.equal(
      [result.format, result.bytes, result.sha256],
      [format, Buffer.byteLength(file.text), sha256(file.text)],
    );
    assert.is(file.headers.get('etag'), `"${result.sha256}"`);
    const left = Date.parse(result.expires_at) - Date.now();
    assert.ok(left > 6.9 * 86_400_000 && left < 7.1 * 86_400_000, result.expires_at);
    const told = (await server.events(session)).filter(
      ({ type, data }) => type === 'execution_progress' && data['execution_id'] === execution_id,
    );
    const steps = told.map(({ data }) => Number(data['progress']));
    assert.equal([steps[0], steps.at(-1)], [0, 100]);
    const last = told.at(-1)?.data['metadata'] as Json;
    assert.is(last.events_done, last.events_total);
  }
  const folders = readdirSync(join(server.data, 'artifacts'));
  for (const folder of folders) assert.equal(readdirSync(join(server.data, 'artifacts', folder)), ['export']);
});

test('it covers the events up to its own start, as they are in the log; by types, after and until only those', async () => {
  const { body } = await exported({ format: 'ndjson' });
  const lines = (await artifactOf(body.execution_id)).text.trimEnd().split('\n');
  const events = lines.map((line) => JSON.parse(line) as Event);
  assert.equal(events, (await server.events(session)).slice(0, events.length));
  assert.equal([events.at(-1)?.type, events.at(-1)?.data['execution_id']], ['execution_started', body.execution_id]);
  assert.is(body.result.events, events.length);

  const some = await exported({ format: 'json', types: ['execution_queued', 'client_joined'], after: 1, until: 12 });
  const document = JSON.parse((await artifactOf(some.body.execution_id)).text);
  assert.equal(
    document.events,
    events.filter(({ seq, type }) => seq > 1 && seq <= 12 && /execution_queued|client_joined/.test(type)),
  );
  assert.ok(document.events.length > 1);
  assert.is(document.session.session_id, session);
  const none = await exported({ format: 'json', after: 1_000_000 });
  assert.equal(JSON.parse((await artifactOf(none.body.execution_id)).text).events, []);
});

test('it is the command: dry run, respond-async, keys and refusals are those of commands.execute', async () => {
  const dry = await server.call('POST', `/v1/sessions/${session}/exports?dry_run=true`, { body: { format: 'csv' } });
  assert.equal([dry.status, dry.body.command, dry.body.risk], [200, 'export', 'high']);
  assert.equal(dry.body.args, { format: 'csv' });
  const pending = await exported({ format: 'csv', idempotency_key: 'once' }, 'respond-async');
  assert.equal([pending.status, pending.headers.get('location')], [202, pending.body.poll_url]);
  const byName = { command: 'export', args: { format: 'csv' }, idempotency_key: 'once' };
  const again = await server.execute(session, byName, 'wait=60');
  assert.is(again.body.execution_id, pending.body.execution_id);
  assert.is((await exported({ format: 'html', idempotency_key: 'once' })).status, 409);
  const wrong = await exported({ format: 'docx', types: ['nothing'], after: -1 });
  assert.equal([wrong.status, wrong.body.errors.map(({ field }: Json) => field)], [400, ['format', 'types', 'after']]);
  const refused = await exported({ format: 'json' }, 'wait=1', await guestOf({ constraints: { max_risk: 'low' } }));
  assert.equal([refused.status, refused.body.reason], [403, 'risk'], refused.text);
});

test('a webhook_url hears of that export alone, signed, up to its end; it needs write', async () => {
  await using receiver = await openEventReceiver();
  const asked = { format: 'csv', webhook_url: receiver.url, idempotency_key: 'told' };
  const other = { command: 'no-op', args: { value: 'besides' } };
  const [{ status, body, text }] = await Promise.all([
    exported(asked, 'respond-async'),
    ...Array.from({ length: 20 }, () => server.execute(session, other, 'wait=60')),
  ]);
  assert.is(status, 202, text);
  const { execution_id, webhook } = body;
  const hooks = async (): Promise<Json[]> => {
    const { items } = (await server.call('GET', `/v1/sessions/${session}/webhooks`)).body;
    return items.filter(({ webhook_id }: Json) => webhook_id === webhook.webhook_id);
  };
  await eventually('the webhook has ended', async () => (await hooks()).every((each) => each.status === 'ended'));
  const log = (await server.events(session)).filter(({ data }) => data['execution_id'] === execution_id);
  const calls = receiver.received().toSorted((a, b) => a.event.seq - b.event.seq);
  assert.equal(
    calls.map(({ event }) => event),
    log,
  );
  assert.ok(calls.every((call) => call.verifies(webhook.secret)));
  const last = calls.at(-1)?.event;
  assert.is(last?.type, 'execution_completed');
  assert.is((last?.data['result'] as Json)?.sha256, sha256((await artifactOf(execution_id)).text));

  const again = await exported(asked, 'respond-async');
  assert.equal([again.body.execution_id, again.body.webhook], [execution_id, undefined]);
  assert.is((await exported({ ...asked, webhook_url: `${receiver.url}/other` })).status, 409);
  const inside = await exported({ format: 'csv', webhook_url: 'http://10.0.0.1/' });
  assert.equal([inside.status, inside.body.code, inside.body.errors[0].field], [400, 'address_refused', 'webhook_url']);
  const reader = await guestOf({ constraints: { read_only: true } });
  const refused = await exported(asked, 'wait=60', reader);
  assert.equal([refused.status, refused.body.code], [403, 'security_violation'], refused.text);
  assert.is((await exported({ format: 'csv' }, 'wait=60', reader)).status, 200);
});

test('who may not go without a webhook names one, or waits', async () => {
  await using receiver = await openEventReceiver();
  const guest = await guestOf({ constraints: { require_webhook: true } });
  const without = await exported({ format: 'csv' }, 'respond-async', guest);
  assert.equal([without.status, without.body.code], [400, 'webhook_required'], without.text);
  const named = await exported({ format: 'csv', webhook_url: receiver.url }, 'respond-async', guest);
  assert.is(named.status, 202, named.text);
  assert.is((await exported({ format: 'csv' }, 'wait=60', guest)).status, 200);
});

test('every decision is in the audit', async () => {
  const { body } = await server.call('GET', '/v1/audit?limit=1000');
  const said = (body.items as Json[]).map((item) => JSON.stringify(item)).filter((item) => item.includes('"export"'));
  assert.ok(
    said.some((item) => /command_accepted/.test(item)),
    said[0],
  );
  assert.ok(said.some((item) => /command_refused/.test(item)));
});

test('arbor export: a file under its name, whole; on standard output; as JSON', async () => {
  const file = join(space.directory, 'out.html');
  const made = await arbor('export', session, '--format', 'html', '--output', file).ended();
  assert.equal([made.code, made.stdout], [0, `${file}\n`], made.stderr);
  assert.match(made.stderr, sha256(readFileSync(file)));
  assert.is(statSync(file).mode & 0o777, 0o600);
  const piped = await arbor(
    'export',
    session,
    '--format',
    'ndjson',
    '--types',
    'client_joined',
    '--output',
    '-',
  ).ended();
  assert.is(piped.code, 0, piped.stderr);
  const joined = (await server.events(session)).filter(({ type }) => type === 'client_joined');
  const lines = piped.stdout.trimEnd().split('\n');
  assert.equal(
    lines.map((line) => JSON.parse(line) as Event),
    joined,
  );
  const told = await arbor('export', session, '--format', 'markdown', '--json', '--until', '3').ended();
  const { file: name, events } = JSON.parse(told.stdout);
  assert.equal([name, events], [`${session}.md`, 3]);
  assert.match(readFileSync(join(space.directory, name), 'utf8'), /3 events, complete/);
  assert.equal(
    readdirSync(space.directory).filter((each) => each.endsWith('.part')),
    [],
  );
});

test('arbor export: what is wrong is one line and 1, and leaves no file', async () => {
  const wrong = await arbor('export', session, '--types', 'nothing').ended();
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, /types: expected types of events/);
  assert.is((await arbor('export', session, '--format', 'docx').ended()).code, 2);
  const nowhere = await arbor('export', session, '--output', join(space.directory, 'no', 'such')).ended();
  assert.is(nowhere.code, 1);
});

/** Passes connections on, and cuts each that has carried so many bytes to the client. */
const lossyProxy = async (port: number, bytes: number) => {
  let cuts = 0;
  const proxy = createServer((near: Socket) => {
    const far = connect(port, '127.0.0.1');
    let carried = 0;
    const end = (): void => void (near.destroy(), far.destroy());
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.pipe(far);
    far.on('data', (chunk: Buffer) => {
      carried += chunk.length;
      near.write(chunk);
      if (carried < bytes) return;
      cuts += 1;
      end();
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port: open } = proxy.address() as AddressInfo;
  return { url: `http://127.0.0.1:${open}`, cuts: () => cuts, close: () => proxy.close() };
};

test('arbor export: a connection that is lost again and again costs nothing but time', async () => {
  const proxy = await lossyProxy(Number(new URL(server.http).port), 400_000);
  const file = join(space.directory, 'lossy.json');
  const words = ['--url', proxy.url, '--data', server.data, 'export', session, '--output', file];
  const { code, stderr } = await space.arbor(words).ended();
  proxy.close();
  assert.is(code, 0, stderr);
  assert.ok(proxy.cuts() > 1, `${proxy.cuts()} cuts`);
  assert.match(stderr, sha256(readFileSync(file)));
  assert.ok(JSON.parse(readFileSync(file, 'utf8')).events.length > 20);
});

test.run();
