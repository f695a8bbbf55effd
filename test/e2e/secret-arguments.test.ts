// limit: 240 s
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SessionId } from '../../machines/id.ts';
import { eventFilter, repliesTopic, requestsTopic, stateTopic } from '../../machines/topic.ts';
import { createShareToken } from '../../src/gateway/keys.ts';
import { drawSecret, sha256 } from '../../src/gateway/secrets.ts';
import { publish, subscribe } from '../support/mqtt-wire.ts';
import { createWorkspace, type CallOptions, type Json } from '../support/server.ts';
import { EXPORT_FORMATS } from '../../src/operations/export-formats.ts';
import { eavesdrop } from './eavesdropper.ts';

/**
 * Promise 17: what a command is given under a sensitive name, or in a field that its author has marked, reaches the handler
 * and nobody else. It is stored, since the handler may have to run again, with the arguments alone.
 */
const test = suite('secrets in arguments');

const space = createWorkspace();
test.after(async () => space[Symbol.asyncDispose]());
const config = space.config({ commands: ['keep-secret'] });
const server = await space.serve({ config, env: { ARBOR_LOG_LEVEL: 'trace' } });
const { plant, hear, call, dial, dialAs, leaks, leaksIn } = eavesdrop(server);

const own = await server.open();
const session: SessionId = own.session_id;
const base = `/v1/sessions/${session}`;
const commands = `${base}/commands`;

const operator = await dial('the operator’s tap', { clientId: 'op:1', username: 'operator', password: server.key });
await operator.expect('connack');
await subscribe(operator, { 'arbor/v1/actors/#': 0 });
const watcher = await dialAs('events and state', own, 'watch');
await subscribe(watcher, { [eventFilter(session)]: 0, [stateTopic(session)]: 0 });
const caller = await dialAs('replies', own, 'call');
await subscribe(caller, { [repliesTopic(session, own.client_id)]: 0 });
let asked = 0;
const rpc = async (method: string, params: object): Promise<Json> => {
  const request = JSON.stringify({ jsonrpc: '2.0', id: ++asked, method, params });
  caller.send(publish(requestsTopic(session, own.client_id), request));
  return JSON.parse(String((await caller.expect('publish'))['payload']));
};

const secret = (name: string): string => plant(name, drawSecret());
const STORED = 'stored';
const SHOWN = '[redacted]';

const bySpelling = {
  password: secret('password'),
  PassWord: secret('PassWord'),
  db_password: secret('db_password'),
  passwd: secret('passwd'),
  secret: secret('secret'),
  CLIENT_SECRET: secret('CLIENT_SECRET'),
  // The log knows it by its shape, wherever it stands in a text.
  token: plant('token', createShareToken('shr_01K0000000000000000000ABCD').token),
  'access-token': secret('access-token'),
  refreshToken: secret('refreshToken'),
  api_key: secret('api_key'),
  'X-Api-Key': secret('X-Api-Key'),
  apikey: secret('apikey'),
  Authorization: `Bearer ${secret('Authorization')}`,
  cookie: secret('cookie'),
  'Set-Cookie': secret('Set-Cookie'),
  privateKey: secret('privateKey'),
  credentials: secret('credentials'),
};
const allMasked = Object.fromEntries(Object.keys(bySpelling).map((name) => [name, SHOWN]));
const [seed, word, second, inner] = ['a seed', 'a word', 'the second of a pair', 'an inner seed'].map(secret);
const marked = {
  pin: secret('pin'),
  late: secret('late'),
  blank: secret('blank'),
  spare: secret('spare'),
  either: secret('either'),
  named: secret('named'),
};

const args = {
  how: 'answer',
  user: 'ada',
  tokens: 3,
  ...bySpelling,
  nested: [{ deep: { deeper: [bySpelling, { port: 5432 }] } }],
  secrets: { credentials: { user: 'ada', pass: secret('credentials’ pass') }, passwd: null, token: 7, api_key: [true] },
  ...marked,
  seeds: [seed],
  words: { first: word },
  pair: ['open', second],
  inner: { seed: inner, host: 'h' },
};
const shown = {
  how: 'answer',
  user: 'ada',
  tokens: 3,
  ...allMasked,
  nested: [{ deep: { deeper: [allMasked, { port: 5432 }] } }],
  secrets: { credentials: SHOWN, passwd: SHOWN, token: SHOWN, api_key: SHOWN },
  ...Object.fromEntries(Object.keys(marked).map((name) => [name, SHOWN])),
  seeds: SHOWN,
  words: SHOWN,
  pair: SHOWN,
  inner: { seed: SHOWN, host: 'h' },
};
const body = { command: 'keep-secret', args };

/** The hashes of all texts, as the command tells them. */
const hashes = (value: unknown): string[] => {
  if (typeof value === 'string') return [sha256(value)];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(hashes) : [];
};

test('the handler is given the true ones', async () => {
  const done = await server.call('POST', commands, { body: { ...body, idempotency_key: 'once' } });
  assert.equal(done.body.result, { hashes: hashes(args).toSorted() }, done.text);
});

test('executions.get and executions.list, over HTTP and MQTT, and a dry run show them masked', async () => {
  const listed = await call('GET', `${base}/executions`);
  assert.is(listed.body.items.length, 1);
  const { execution_id } = listed.body.items[0];
  const got = await call('GET', `/v1/executions/${execution_id}`);
  const dry = await call('POST', `${commands}?dry_run=true`, { body });
  const overMqtt = [
    (await rpc('executions.get', { execution_id })).result,
    (await rpc('executions.list', {})).result.items[0],
    (await rpc('commands.execute', { ...body, dry_run: true })).result,
  ];
  for (const each of [listed.body.items[0], got.body, dry.body, ...overMqtt]) assert.equal(each.args, shown);
});

test('a handler that logs them, one that fails and one that takes its thread with it', async () => {
  for (const [how, status, code] of [
    ['log', 'completed', undefined],
    ['throw', 'failed', 'handler_failed'],
    ['exit', 'failed', 'attempts_exhausted'],
  ]) {
    const again = { ...body, args: { ...args, how } };
    const { result } = await rpc('commands.execute', again);
    assert.equal([result.status, result.error?.code], [status, code]);
    // What it completes with are hashes, which the one who asked for them may see.
    const answer = await (how === 'log' ? server.call : call)('POST', commands, { body: again });
    assert.equal([answer.body.status, answer.body.error?.code], [status, code]);
  }
});

test('refused for its authority, its form, its key or its name, a call leaves none behind', async () => {
  const share = await server.call('POST', `${base}/shares`, { body: { constraints: { read_only: true } } });
  const joining = { token: null, body: { token: share.body.token, client_type: 'cli' } };
  const { client_token: token } = (await server.call('POST', '/v1/join', joining)).body;
  const { pin } = marked;
  const deep = JSON.parse(`${'['.repeat(70)}"${pin}"${']'.repeat(70)}`);
  const refusals: readonly (readonly [status: number, body: unknown, more?: CallOptions])[] = [
    [403, body, { token }],
    [400, { command: 'keep-secret', args: { ...args, pin: [pin], blank: 1, inner: pin } }],
    [400, { command: 'keep-secret', args: [pin] }],
    [400, { command: 'keep-secret', args, password: pin }],
    [400, { command: 'keep-secret', args, priority: pin, timeout: pin, wait: pin }],
    [400, { command: 'keep-secret', args: { password: deep } }],
    [400, `{"command":"keep-secret","args":{"password":"${pin}"`],
    [400, { command: 'analyze', args: { password: pin } }],
    [404, { command: 'keep-secrets', args }],
    [409, { command: 'keep-secret', args: { ...args, how: 'log' }, idempotency_key: 'once' }],
  ];
  for (const [status, refused, more] of refusals) {
    const answer = await call('POST', commands, { body: refused, ...more });
    assert.is(answer.status, status, answer.text);
  }
});

test('the command line shows its owner what came of it, without them', async () => {
  const pairs = Object.entries({ password: bySpelling.password, pin: marked.pin, how: 'throw' });
  const words = pairs.flatMap((pair) => ['--arg', pair.join('=')]);
  const runs = [['--json'], [], ['--detach']].map((flags) =>
    space.arbor(['--url', server.http, '--data', server.data, 'run', 'keep-secret', ...flags, ...words]).ended(),
  );
  for (const { code, stdout, stderr } of await Promise.all(runs)) {
    hear('arbor run', stdout + stderr);
    assert.match(stdout + stderr, code === 0 ? 'exe_' : 'it could not log in');
  }
});

test('an export tells of the calls without them', async () => {
  for (const format of EXPORT_FORMATS) {
    const { body: made } = await call('POST', `${base}/exports`, { body: { format }, headers: { prefer: 'wait=60' } });
    const { text } = await call('GET', `/v1/executions/${made.execution_id}/artifacts/export`);
    assert.ok(text.includes('keep-secret'), format);
  }
});

test('nothing that was heard holds one: no event, no state, no reply, no record, no metric, no tap, no log', async () => {
  hear('events', JSON.stringify(await server.events(session)));
  for (const path of [base, `${base}/events`, `${base}/executions`, '/v1/audit?limit=1000', '/metrics', commands])
    assert.is((await call('GET', path)).status, 200);
  assert.match((await call('GET', '/v1/audit?limit=1000')).text, 'command_refused');
  await watcher.drain();
  assert.match(
    (await operator.drain()).map(({ payload }) => String(payload)).join('\n'),
    `"args":{"how":"throw","user":"ada"`,
  );
  assert.is(await server.stop(), 0);
  hear('the log', server.stderr());
  hear('standard output', server.stdout());
  assert.match(server.stderr(), /a careless line[^]*a careless text[^]*deep within/);
  assert.equal(leaks(), {});
});

test('in the data directory they stand in arguments only', () => {
  assert.equal(
    leaksIn(server.data, (_, file) => file.startsWith('journal.db')),
    {},
  );
  const db = new DatabaseSync(join(server.data, 'journal.db'), { readOnly: true });
  const tables = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table'`).all() as { name: string }[];
  assert.ok(tables.length > 5);
  for (const { name } of tables)
    for (const row of db.prepare(`SELECT * FROM "${name}"`).iterate())
      for (const [column, value] of Object.entries(row)) {
        const where = `${name}.${column}`;
        const isContext = where === 'actors.context';
        const { args: _, ...others } = isContext ? (JSON.parse(String(value)) as Record<string, unknown>) : { value };
        hear(`${STORED} in ${where}`, JSON.stringify(others));
      }
  db.close();
  assert.equal(
    leaks((_, where) => !where.startsWith(STORED)),
    {},
  );
});

test.run();
