/**
 * Makes golden data with the code of this checkout: `node test/golden/make.ts NAME`, where the name is a new directory
 * beside this file. Takes a little over a minute, most of it the time after which a session is suspended.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VERSION } from '../../src/version.ts';
import { createWorkspace, eventually, type Json } from '../support/server.ts';
import { listOf, recordSession, type Expected, type ExpectedUnfinished } from './expected.ts';
import { pack } from './pack.ts';

const name = process.argv[2];
if (name === undefined || !/^[\w.-]+$/.test(name)) throw new Error('usage: node test/golden/make.ts NAME');
const target = join(import.meta.dirname, name);
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();

await using space = createWorkspace();
const config = space.config({ commands: ['no-op', 'slow', 'talk', 'write-artifact'], agents: { threads: 2 } });
const server = await space.serve({ config });

const call = async (
  method: string,
  path: string,
  body: object | undefined,
  token: string | null = server.key,
): Promise<Json> => {
  const answer = await server.call(method, path, { token, ...(body === undefined ? {} : { body }) });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.text}`);
  return answer.body;
};
/** Runs a command; by default to its end. */
const run = async (session: string, body: object, prefer = 'wait=30', token = server.key): Promise<Json> => {
  const answer = await server.execute(session, body, prefer, token);
  if (answer.status >= 300) throw new Error(`${JSON.stringify(body)}: ${answer.text}`);
  return answer.body;
};

const alice: Json = await call('POST', '/v1/keys', { principal: 'alice' });
const bob: Json = await call('POST', '/v1/keys', { principal: 'bob' });
await call('DELETE', `/v1/keys/${bob.key_id}`, undefined);

// Suspended by the time that all else is done.
const suspended: Json = await call('POST', '/v1/sessions', { client: { type: 'cli' } }, alice.api_key);
await run(suspended.session_id, { command: 'no-op', args: { value: 'before the pause' } }, 'wait=30', alice.api_key);

const expired: Json = await call('POST', '/v1/sessions', { client: { type: 'web' }, ttl: 1 });

const closed: Json = await call('POST', '/v1/sessions', { client: { type: 'cli', name: 'first' } });
await run(closed.session_id, { command: 'write-artifact', args: { name: 'report.txt', text: 'kept for a while\n' } });
await call('DELETE', `/v1/sessions/${closed.session_id}`, undefined);

const open: Json = await call('POST', '/v1/sessions', { client: { type: 'cli', name: 'terminal' } });
const session: string = open.session_id;
const second: Json = await call('POST', `/v1/sessions/${session}/clients`, { client: { type: 'web' } });
await call('DELETE', `/v1/sessions/${session}/clients/${second.client_id}`, undefined);
const share: Json = await call('POST', `/v1/sessions/${session}/shares`, { label: 'for a guest' });
const revoked: Json = await call('POST', `/v1/sessions/${session}/shares`, { operations: ['read'] });
await call('POST', '/v1/join', { token: share.token, client: { type: 'api', name: 'guest' } }, null);
await call('DELETE', `/v1/shares/${revoked.share_id}`, undefined);

await run(session, { command: 'no-op', args: { value: { text: 'Grüße\n', list: [1, null, true] } } });
const keyed = { command: 'no-op', args: { value: 'once' }, idempotency_key: 'golden' };
const repeat: Json = await run(session, keyed);
await run(session, { command: 'no-op', args: { pad: 20_000 } });
await run(session, { command: 'write-artifact', args: { name: 'größe.txt', text: 'x'.repeat(3_000) } });
await run(session, { command: 'write-artifact', args: { name: '../outside', text: '' } });
await run(session, { command: 'talk', args: { progress: 3, chunks: 3 } });
await run(session, { command: 'analyze', args: { path: 'data' } });
await run(session, { command: 'slow', args: { ms: 60_000 }, timeout: 0.2 });
const cancelled: Json = await run(session, { command: 'slow', args: { ms: 60_000 } }, 'respond-async');
await call('DELETE', `/v1/executions/${cancelled.execution_id}`, undefined);
await eventually(
  'the session without anybody is suspended',
  async () =>
    (await call('GET', `/v1/sessions/${suspended.session_id}`, undefined, alice.api_key)).status === 'suspended',
  90_000,
);

// What the threads are at, and what waits for them, when the process is killed.
const accepted = new Set<string>();
const accept = async (body: object): Promise<void> =>
  void accepted.add((await run(session, body, 'respond-async')).execution_id as string);
for (let n = 0; n < 2; n += 1) await accept({ command: 'slow', args: { ms: 4_000 } });
const unfinishedOf = async (): Promise<ExpectedUnfinished[]> => {
  const executions = await listOf(server, `/v1/sessions/${session}/executions?limit=1000`, server.key);
  return executions
    .filter(({ execution_id, status }) => accepted.has(execution_id) && ['running', 'queued'].includes(status))
    .map(({ execution_id, status }) => ({ execution_id, session_id: session, status }));
};
let unfinished = await unfinishedOf();
while (unfinished.filter(({ status }) => status === 'queued').length < 2) {
  if (accepted.size > 50) throw new Error('nothing is queued');
  await accept({ command: 'slow', args: { ms: 5 }, priority: accepted.size % 3 });
  unfinished = await unfinishedOf();
}
const verdict: Json = await call('GET', '/v1/audit/verify', undefined);
const sessions = [
  await recordSession(server, session, server.key),
  await recordSession(server, suspended.session_id, alice.api_key),
  await recordSession(server, closed.session_id, server.key),
  await recordSession(server, expired.session_id, server.key),
];
const made_at = new Date().toISOString();
await server.kill();

if (unfinished.length !== accepted.size) throw new Error('something has ended before the kill');

const expected: Expected = {
  version: VERSION,
  commit,
  made_at,
  sessions,
  unfinished,
  repeat: { session_id: session, body: keyed, execution_id: repeat.execution_id },
  share: { session_id: session, share_id: share.share_id, token: share.token },
  revoked_share_token: revoked.token,
  client: { session_id: session, client_id: open.client_id, client_token: open.client_token },
  keys: { alice: alice.api_key, revoked: bob.api_key },
  audit: { records: verdict.records, head: verdict.head },
};
mkdirSync(target);
writeFileSync(join(target, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`);
pack(server.data, join(target, 'data.json'));
process.stdout.write(`${target}: ${statSync(join(target, 'data.json')).size} bytes\n`);
