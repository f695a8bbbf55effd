// limit: 240 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createWorkspace, eventually, type Arbor } from '../support/server.ts';

/** Shares, API keys and the audit from the command line, against a server of its own. */
const test = suite('arbor, sharing');

const space = createWorkspace();
const config = space.config({ commands: ['no-op'] });
const server = await space.serve({ config });
test.after(async () => space[Symbol.asyncDispose]());

const arbor = (...args: string[]): Arbor => space.arbor(['--url', server.http, '--data', server.data, ...args]);
/** Without credentials of its own. */
const guest = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Arbor =>
  space.arbor(['--url', server.http, ...args], env);

const share = async (session: string, ...flags: string[]): Promise<{ id: string; token: string; said: string }> => {
  const { code, stdout, stderr } = await arbor('share', session, ...flags).ended();
  assert.is(code, 0, stderr);
  return { id: /shr_\w+/.exec(stderr)?.[0] ?? '', token: stdout.trim(), said: stderr };
};

test('share, join, revoke: who came by it sees the events until then, and is cut off with 1', async () => {
  const { session_id } = await server.open();
  const { id, token, said } = await share(session_id, '--read-only', '--expires-in', '2h', '--label', 'for Grace');
  assert.match(said, /read.* on every command; read only/);
  const listed = await arbor('shares', session_id).ended();
  assert.match(listed.stdout, new RegExp(`${id} +live +for Grace`));

  const join = guest(['join', '--name', 'grace'], { ARBOR_SHARE_TOKEN: token });
  await join.said('client_joined');
  await join.said('share_created');
  await server.execute(session_id, { command: 'no-op' }, 'wait=30');
  await join.said('execution_completed');
  const revoked = await arbor('revoke', id).ended();
  assert.equal([revoked.code, revoked.stdout], [0, `${id} revoked\n`], revoked.stderr);
  const { code, stdout, stderr } = await join.ended();
  assert.is(code, 1, stderr);
  assert.match(stderr, /\narbor: cut off: the share was revoked or has expired/);
  assert.match(stdout, 'capability_revoked');
  assert.not.match(stdout + stderr, token);

  const late = await guest(['join'], { ARBOR_SHARE_TOKEN: token }).ended();
  assert.equal([late.code, late.stderr], [1, 'arbor: the token of the share is wrong, revoked or expired\n']);
  assert.is((await arbor('shares', session_id).ended()).stderr, 'no live shares\n');
});

test('join: Ctrl-C leaves, 130; --detach stays, and its token is that of a client', async () => {
  const { session_id } = await server.open();
  const { token } = await share(session_id, '--read-only');
  const join = guest(['join', token]);
  await join.said('client_joined');
  join.child.kill('SIGINT');
  assert.is((await join.ended()).code, 130);
  const events = await server.events(session_id);
  assert.ok(events.some(({ type }) => type === 'client_left'));

  const detached = await guest(['join', '--detach', '--json'], { ARBOR_SHARE_TOKEN: token }).ended();
  const { client_id, client_token } = JSON.parse(detached.stdout) as { client_id: string; client_token: string };
  assert.is((await server.call('GET', `/v1/sessions/${session_id}`, { token: client_token })).status, 200);
  const refused = await guest(['cancel', 'exe_00000000000000000000000000'], { ARBOR_TOKEN: client_token }).ended();
  assert.is(refused.code, 1);
  assert.is(
    (await server.call('POST', `/v1/sessions/${session_id}/shares`, { token: client_token, body: {} })).status,
    403,
  );
  const watch = guest(['watch', session_id], { ARBOR_TOKEN: client_token });
  // A 403 inside the session is an event in it.
  await watch.said('security_violation');
  await watch.said(client_id);
  watch.child.kill('SIGINT');
  assert.is((await watch.ended()).code, 130);
});

test('the end of the session ends a join: 0', async () => {
  const { session_id } = await server.open();
  const { token } = await share(session_id);
  const join = guest(['join'], { ARBOR_SHARE_TOKEN: token });
  await join.said('client_joined');
  // Past events may come as pages; whoever is not connected when the session ends hears nothing of it.
  await eventually('the stream is open', async () =>
    (await fetch(`${server.http}/metrics`).then((answer) => answer.text())).includes('arbor_streams 1'),
  );
  assert.is((await server.call('DELETE', `/v1/sessions/${session_id}`)).status, 200);
  const { code, stdout, stderr } = await join.ended();
  assert.is(code, 0, stderr);
  assert.match(stdout, 'session_closed');
});

test('token: a key that works until it is revoked', async () => {
  const made = await arbor('token', 'create', 'grace').ended();
  assert.is(made.code, 0, made.stderr);
  const key = made.stdout.trim();
  const [id = ''] = key.split('.');
  const own = { ARBOR_TOKEN: key };
  assert.is((await guest(['sessions'], own).ended()).code, 0);
  // Not an operator.
  assert.is((await guest(['audit'], own).ended()).code, 1);
  assert.match((await arbor('token', 'list').ended()).stdout, new RegExp(`${id} +grace +no`));

  const { session_id } = await server.open();
  const { token } = await share(session_id, '--read-only');
  const joined = await guest(['join', '--detach', '--json'], { ...own, ARBOR_SHARE_TOKEN: token }).ended();
  assert.is(joined.code, 0, joined.stderr);
  const [last] = (await server.events(session_id)).filter(({ type }) => type === 'client_joined').slice(-1);
  assert.is(last?.data['principal'], 'grace');

  assert.equal((await arbor('token', 'revoke', id).ended()).stdout, `${id} revoked\n`);
  await eventually(
    'the end of the key',
    async () => (await server.call('GET', '/v1/sessions', { token: key })).status === 401,
  );
});

test('audit: the records, one a line; verify with its head and with another', async () => {
  const { session_id } = await server.open();
  const { id } = await share(session_id);
  await eventually('the record', async () => (await arbor('audit').ended()).stdout.includes(id));
  const records = (await arbor('audit', '--json').ended()).stdout.trimEnd().split('\n');
  assert.equal(
    records.map((line) => (JSON.parse(line) as { n: number }).n),
    records.map((_, index) => index + 1),
  );
  const { code, stdout, stderr } = await arbor('audit', 'verify').ended();
  assert.is(code, 0, stderr);
  const [, head = ''] = /^valid, \d+ records, head (\d+:[0-9a-f]{64})\n$/.exec(stdout) ?? [];
  assert.is((await arbor('audit', 'verify', '--head', head).ended()).code, 0);
  const [n = ''] = head.split(':');
  const other = await arbor('audit', 'verify', '--head', `${n}:${'0'.repeat(64)}`).ended();
  assert.is(other.code, 1);
  assert.match(other.stderr, /^arbor: the audit is not valid/);
});

test.run();
