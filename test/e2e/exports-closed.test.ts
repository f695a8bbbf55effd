// limit: 180 s
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { EXPORT_FORMATS } from '../../src/operations/export-formats.ts';
import { createWorkspace, eventually, type Answer, type Arbor, type Json } from '../support/server.ts';

/** What can be had of a session that has ended, as long as it is kept (contract, sections 2 and 5). */
const test = suite('exports of closed sessions');

const space = createWorkspace();
const config = (settings = {}): string => space.config({ commands: ['talk'], ...settings });
let server = await space.serve({ config: config() });
test.after(async () => space[Symbol.asyncDispose]());

const own = await server.open();
const session: string = own.session_id;
await server.execute(session, { command: 'talk', args: { chunks: 400, size: 2_000 } }, 'wait=60');
const exported = (format: string, prefer: string, token = server.key): Promise<Answer> =>
  server.call('POST', `/v1/sessions/${session}/exports`, { body: { format }, headers: { prefer }, token });
const before = (await exported('ndjson', 'wait=60')).body;
const artifact = `/v1/executions/${before.execution_id}/artifacts/export`;
const arbor = (...args: string[]): Arbor => space.arbor(['--url', server.http, '--data', server.data, ...args]);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

test('closing cancels an export that runs, or it was over; nothing unfinished is left of it', async () => {
  const { execution_id } = (await exported('html', 'respond-async')).body;
  const { status, text } = await server.call('DELETE', `/v1/sessions/${session}`);
  assert.is(status, 200, text);
  await eventually('the session is closed', async () => {
    const { body } = await server.call('GET', `/v1/sessions/${session}`);
    return body.status === 'closed';
  });
  const { body } = await server.call('GET', `/v1/executions/${execution_id}`);
  assert.match(body.status, /^(cancelled|completed)$/);
  const directory = join(server.data, 'artifacts', execution_id);
  await eventually(
    'no part is left',
    () => !existsSync(directory) || readdirSync(directory).every((name) => name === 'export'),
  );
});

test('it runs nothing any more: a new export is refused, and leaves no trace in its log', async () => {
  const log = await server.events(session);
  assert.is(log.at(-1)?.type, 'session_closed');
  const { status, body } = await exported('json', 'wait=60');
  assert.equal([status, body.code, body.detail], [409, 'conflict', 'the session has ended']);
  assert.is((await exported('json', 'wait=60', own.client_token)).status, 401);
  assert.equal(await server.events(session), log);
});

test('what was exported before stays, whole and in parts, for its owner alone', async () => {
  const file = await server.call('GET', artifact);
  assert.equal([file.status, sha256(file.text)], [200, before.result.sha256]);
  const range = { range: 'bytes=100-199', 'if-range': `"${before.result.sha256}"` };
  const part = await server.call('GET', artifact, { headers: range });
  assert.equal(
    [part.status, part.text, part.headers.get('content-range')],
    [206, file.text.slice(100, 200), `bytes 100-199/${before.result.bytes}`],
  );
  assert.is((await server.call('GET', artifact, { token: own.client_token })).status, 401);
  assert.is((await server.call('GET', artifact, { token: null })).status, 401);
});

test('arbor export writes it from its log: the bytes that the server would have written', async () => {
  const log = await server.events(session);
  const file = await server.call('GET', artifact);
  const until = String(file.text.trimEnd().split('\n').length);
  const same = await arbor('export', session, '--format', 'ndjson', '--until', until, '--output', '-').ended();
  assert.is(same.code, 0, same.stderr);
  assert.ok(same.stdout === file.text, 'byte for byte');
  assert.match(same.stderr, before.result.sha256);
  assert.match(same.stderr, 'the session is closed and exports nothing itself');

  for (const format of EXPORT_FORMATS) {
    const made = await arbor('export', session, '--format', format, '--json').ended();
    assert.is(made.code, 0, made.stderr);
    const told = JSON.parse(made.stdout) as Json;
    const path = join(space.directory, told.file);
    const text = readFileSync(path, 'utf8');
    assert.equal(
      [told.format, told.events, told.bytes, told.sha256],
      [format, log.length, statSync(path).size, sha256(text)],
    );
    assert.is(statSync(path).mode & 0o777, 0o600);
    assert.match(
      text,
      format === 'html' || format === 'markdown' ? `${log.length} events, complete` : 'session_closed',
    );
  }
  const document = JSON.parse(readFileSync(join(space.directory, `${session}.json`), 'utf8'));
  assert.equal([document.events, document.session.status, document.export.last_seq], [log, 'closed', log.length]);

  const some = ['--types', 'execution_completed,session_closed', '--after', '4', '--output', '-'];
  const { stdout } = await arbor('export', session, '--format', 'ndjson', ...some).ended();
  assert.equal(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Event),
    log.filter(({ seq, type }) => seq > 4 && /execution_completed|session_closed/.test(type)),
  );
  assert.is((await arbor('export', session, '--types', 'nothing', '--output', 'x.json').ended()).code, 1);
  assert.not(existsSync(join(space.directory, 'x.json')));
});

test('after retention all of it is as if it had never been', async () => {
  assert.is(await server.stop(), 0);
  server = await space.serve({ config: config({ retention: 1 }) });
  await eventually('the session is gone', async () => {
    const { status } = await server.call('GET', `/v1/sessions/${session}`);
    return status === 404;
  });
  await eventually('its files are gone', () => readdirSync(join(server.data, 'artifacts')).length === 0);
  assert.is((await server.call('GET', artifact)).status, 404);
  assert.is((await exported('json', 'wait=1')).status, 404);
  const late = await arbor('export', session, '--output', 'late.json').ended();
  assert.equal([late.code, late.stdout], [1, '']);
  assert.match(late.stderr, 'there is no such session');
  assert.equal(
    readdirSync(space.directory).filter((name) => /^late|\.part$/.test(name)),
    [],
  );
});

test.run();
