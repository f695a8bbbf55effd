// limit: 240 s
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { createWorkspace, eventually, type Arbor } from '../support/server.ts';

/** The command line as people use it, against a server of its own: exit codes, standard output, last lines. */
const test = suite('arbor');

const space = createWorkspace();
const tree = join(space.directory, 'tree');
mkdirSync(tree);
space.write('tree/a.ts', '// a comment\nexport const a = 1;\n\n');
space.write('tree/b.py', '# a comment\nb = 2\n');
const config = space.config({ commands: ['no-op', 'slow', 'talk', 'crash'], roots: [tree] });
const server = await space.serve({ config });
test.after(async () => space[Symbol.asyncDispose]());

/** The command line finds the credentials in the data directory, and the server by its URL. */
const arbor = (...args: string[]): Arbor => space.arbor(['--url', server.http, '--data', server.data, ...args]);

const lines = (text: string): string[] => text.trimEnd().split('\n');

test('run: the result on standard output, progress beside it, 0', async () => {
  const { code, stdout, stderr } = await arbor('run', 'analyze', '.').ended();
  assert.is(code, 0, stderr);
  assert.match(stdout, /2 files/);
  assert.match(stdout, /TypeScript/);
  assert.match(stderr, /analyze in ses_\w+, exe_\w+/);
});

test('run help: what there is', async () => {
  const { code, stdout } = await arbor('run', 'help').ended();
  assert.is(code, 0);
  for (const name of ['analyze', 'help', 'no-op']) assert.match(stdout, name);
});

test('run --json: the answer alone', async () => {
  const { code, stdout } = await arbor('run', 'no-op', '--value', '{"a":[1,2]}', '--json').ended();
  assert.is(code, 0);
  const answer = JSON.parse(stdout);
  assert.equal([answer.status, answer.result.value], ['completed', { a: [1, 2] }]);
});

test('run: output of the command, in order', async () => {
  const { code, stdout } = await arbor('run', 'talk', '--chunks', '30', '--size', '8').ended();
  assert.is(code, 0);
  assert.equal(
    lines(stdout).slice(0, 30),
    Array.from({ length: 30 }, (_, n) => `${n}:`.padEnd(7, '.')),
  );
});

test('run: a command that fails is 1, with its error in one last line', async () => {
  const refused = await arbor('run', 'analyze', '..').ended();
  assert.equal([refused.code, refused.stdout], [1, '']);
  assert.match(lines(refused.stderr).at(-1) as string, /^arbor: The path is outside the allowed roots: .*args\.path/);
  const thrown = await arbor('run', 'crash', '--how', 'throw').ended();
  assert.is(thrown.code, 1);
  assert.match(lines(thrown.stderr).at(-1) as string, /^arbor: The command failed: it went wrong/);
  const late = await arbor('run', 'slow', '600000', '--timeout', '1').ended();
  assert.is(late.code, 1);
  assert.match(lines(late.stderr).at(-1) as string, /^arbor: The deadline has passed: not ended within 1 s/);
});

test('run: wrong usage is 2, before anything runs; what the command refuses is 1', async () => {
  for (const [args, expected, said] of [
    [['nothing'], 2, /no command "nothing".*analyze/],
    [['slow', '--pace', '1'], 2, /slow has no argument "pace"; it has ms/],
    [['slow', 'soon'], 1, /args\.ms/],
  ] as const) {
    const { code, stdout, stderr } = await arbor('run', ...args).ended();
    assert.equal([code, stdout], [expected, ''], stderr);
    assert.match(lines(stderr).at(-1) as string, said);
  }
});

test('run, Ctrl-C: the execution is cancelled, 130', async () => {
  const run = arbor('run', 'slow', '600000', '--keep');
  await run.said('slow in ses_');
  const [, session = '', execution = ''] = /in (ses_\w+), (exe_\w+)/.exec(run.stderr()) ?? [];
  await eventually(
    'the start',
    async () => (await server.call('GET', `/v1/executions/${execution}`)).body.status === 'running',
  );
  run.child.kill('SIGINT');
  const { code, stderr } = await run.ended();
  assert.is(code, 130, stderr);
  assert.is((await server.call('GET', `/v1/executions/${execution}`)).body.status, 'cancelled');
  assert.is((await server.call('GET', `/v1/sessions/${session}`)).body.status, 'active');
});

test('run closes the session that it has made, unless it is to keep it', async () => {
  const first = JSON.parse((await arbor('run', 'no-op', '--json').ended()).stdout);
  await eventually(
    'the close',
    async () => (await server.call('GET', `/v1/sessions/${first.session_id}`)).body.status === 'closed',
  );
  const kept = JSON.parse((await arbor('run', 'no-op', '--json', '--keep').ended()).stdout);
  assert.is((await server.call('GET', `/v1/sessions/${kept.session_id}`)).body.status, 'active');
  // In a session that is there already, and which stays.
  const joined = JSON.parse((await arbor('run', 'no-op', '--json', '--session', kept.session_id).ended()).stdout);
  assert.is(joined.session_id, kept.session_id);
  assert.is((await server.call('GET', `/v1/sessions/${kept.session_id}`)).body.status, 'active');
});

test('watch --json: the log, until the session is closed', async () => {
  const { session_id } = await server.open();
  const watch = arbor('watch', session_id, '--json', '--until-closed');
  await watch.said('session_opened');
  await server.execute(session_id, { command: 'talk', args: { progress: 10, chunks: 2 } }, 'wait=30');
  assert.is((await server.call('DELETE', `/v1/sessions/${session_id}`)).status, 200);
  const { code, stdout } = await watch.ended();
  assert.is(code, 0);
  const seen = lines(stdout).map((line) => JSON.parse(line) as Event);
  const last = seen.findIndex(({ type }) => type === 'session_closed');
  assert.ok(last > 0);
  assert.equal(seen, (await server.events(session_id)).slice(0, seen.length));
  // For people, from a place on: one line an event.
  const rest = await arbor('watch', session_id, '--after', '2', '--until-closed').ended();
  assert.equal(
    lines(rest.stdout).map((line) => Number(line.split(/\s+/)[1])),
    seen.slice(2).map(({ seq }) => seq),
  );
});

test('watch goes on over a restart of the server, without a hole', async () => {
  await using other = createWorkspace();
  const settings = other.config({ commands: ['no-op'] });
  const first = await other.serve({ config: settings });
  const { session_id } = await first.open();
  const watch = other.arbor([
    '--url',
    first.http,
    '--data',
    first.data,
    'watch',
    session_id,
    '--json',
    '--until-closed',
  ]);
  await watch.said('session_opened');
  await first.execute(session_id, { command: 'no-op' }, 'wait=30');
  await watch.said('execution_completed');
  await first.kill();
  const again = await other.serve({ config: settings, http: new URL(first.http).host });
  await again.execute(session_id, { command: 'no-op', args: { value: 'again' } }, 'wait=30');
  assert.is((await again.call('DELETE', `/v1/sessions/${session_id}`)).status, 200);
  const { code, stdout, stderr } = await watch.ended();
  assert.is(code, 0, stderr);
  const seen = lines(stdout).map((line) => JSON.parse(line) as Event);
  assert.equal(seen, (await again.events(session_id)).slice(0, seen.length));
  assert.is(seen.at(-1)?.type, 'session_closed');
});

test('sessions: the open ones; --all, --json', async () => {
  const open = await server.open();
  const closed = await server.open();
  await server.call('DELETE', `/v1/sessions/${closed.session_id}`);
  await eventually(
    'the close',
    async () => (await server.call('GET', `/v1/sessions/${closed.session_id}`)).body.status === 'closed',
  );
  const { code, stdout } = await arbor('sessions').ended();
  assert.is(code, 0);
  assert.match(stdout, new RegExp(`${open.session_id} +active +operator`));
  assert.not.match(stdout, closed.session_id);
  const all = JSON.parse((await arbor('sessions', '--all', '--json').ended()).stdout) as {
    session_id: string;
    status: string;
  }[];
  assert.equal(all.find(({ session_id }) => session_id === closed.session_id)?.status, 'closed');
});

test('cancel: the execution ends; what has ended is a conflict, 1', async () => {
  const { session_id } = await server.open();
  const { execution_id } = (await server.execute(session_id, { command: 'slow', args: { ms: 600_000 } })).body;
  const { code, stdout } = await arbor('cancel', execution_id).ended();
  assert.equal([code, stdout], [0, `${execution_id} cancelled\n`]);
  const again = await arbor('cancel', execution_id).ended();
  assert.is(again.code, 1);
  assert.match(lines(again.stderr).at(-1) as string, /^arbor: .*has ended/);
  const unknown = await arbor('cancel', 'exe_00000000000000000000000000').ended();
  assert.is(unknown.code, 1);
});

test('without a server, without credentials: one line', async () => {
  await using other = createWorkspace();
  const nobody = await other.arbor(['sessions', '--url', 'http://127.0.0.1:9', '--token', 'ark_0.x']).ended();
  assert.equal([nobody.code, lines(nobody.stderr).length], [1, 1], nobody.stderr);
  const wrong = await other.arbor(['sessions', '--url', server.http, '--token', `${server.key}x`]).ended();
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, /^arbor: Credentials are missing, wrong or dead/);
  const none = await other.arbor(['sessions', '--url', server.http]).ended();
  assert.equal([none.code, lines(none.stderr).length], [2, 1], none.stderr);
});

test('demo: three clients, one log, 0, and nothing is left', async () => {
  await using other = createWorkspace();
  mkdirSync(join(other.directory, 'tmp'));
  other.write('one.ts', 'export const one = 1;\n');
  const { code, stdout, stderr } = await other.arbor(['demo'], { TMPDIR: join(other.directory, 'tmp') }).ended();
  assert.is(code, 0, stdout + stderr);
  assert.match(stdout, /The log has \d+ events, numbered without a hole; replayed, it is what each of them saw\./);
  assert.match(lines(stdout).at(-1) as string, /npx arbor sessions/);
});

test.run();
