import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { problem } from '../../../machines/error.ts';
import { CLIENT, createFakeGateway, EXECUTION, SESSION, TOKEN, until } from '../client/fake-gateway.ts';
import { closeArbor, openArbor, startArbor, type ArborContext, type StartedArbor } from './start-arbor.ts';

interface Context extends ArborContext {
  directory: string;
  calls: string[];
}
const test = suite<Context>('arbor');

const registration = {
  session_id: SESSION,
  client_id: CLIENT,
  client_token: TOKEN,
  capabilities: [],
  event_channel: '',
  state_channel: '',
  webhook_url: '',
};

const analyze = {
  name: 'analyze',
  summary: '',
  operation: 'read',
  resource: 'operations',
  risk: 'low',
  mode: 'async',
  timeout: 60,
  args_schema: { type: 'object', properties: { path: { type: 'string' }, depth: { type: 'integer' } } },
  result_schema: {},
};

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'arbor-cli-'));
  await openArbor(context);
  const { gateway } = context;
  const calls: string[] = (context.calls = []);
  let ended: object = { status: 'running' };
  gateway.append('session_opened', { owner: 'ada' });
  gateway.handlers = {
    'sessions.create': () => registration,
    'clients.register': () => registration,
    'clients.leave': () => (calls.push('leave'), { client_id: CLIENT, status: 'left' }),
    'sessions.close': () => (calls.push('close'), { session_id: SESSION, status: 'closed' }),
    'sessions.get': () => ({
      session_id: SESSION,
      seq: gateway.log.length,
      status: 'active',
      owner: 'ada',
      clients: [],
      executions: [],
      coordinations: [],
    }),
    'sessions.list': () => ({
      items: [{ session_id: SESSION, status: 'active', owner: 'ada', created_at: 'now' }],
      next: null,
    }),
    'commands.list': () => ({ items: [analyze], next: null }),
    'commands.execute': ({ args }) => {
      calls.push(`execute ${JSON.stringify(args)}`);
      const finish = (status: string, more: object): void => {
        ended = { status, ...more };
        gateway.append(`execution_${status}` as never, { execution_id: EXECUTION, ...more });
      };
      gateway.append('execution_queued', { execution_id: EXECUTION, command: 'analyze' });
      gateway.append('execution_progress', { execution_id: EXECUTION, progress: 50, message: 'half' });
      gateway.append('execution_output', { execution_id: EXECUTION, stream: 'stdout', chunk: 'a chunk\n' });
      if (args['path'] === 'bad') finish('failed', { error: problem('handler_failed', 'no such directory') });
      else if (args['path'] !== 'endless') finish('completed', { result: { files: 1234 } });
      return { execution_id: EXECUTION, status: 'pending', mode: 'async', poll_url: '/' };
    },
    'executions.get': () => ({ execution_id: EXECUTION, session_id: SESSION, command: 'analyze', ...ended }),
    'executions.cancel': () => {
      calls.push('cancel');
      ended = { status: 'cancelled', error: problem('cancelled', 'by ada') };
      gateway.append('execution_cancelled', { execution_id: EXECUTION });
      return { execution_id: EXECUTION, status: 'cancelled' };
    },
  };
});
test.after.each(async (context) => {
  await closeArbor(context);
  await rm(context.directory, { recursive: true, force: true });
});

/** Starts it in the directory of the test. */
const start = (
  context: Context,
  args: readonly string[],
  env: Record<string, string> = {},
): StartedArbor & { output(): string } => {
  const started = startArbor(context, args, { env, cwd: context.directory });
  return { ...started, output: () => started.stdout() + started.stderr() };
};

test('run: progress, output, result, 0, and the session made for it is closed', async (context) => {
  const { code, stdout, stderr } = await start(context, ['run', 'analyze', '.', '--depth', '3']).ended;
  assert.is(stdout, 'a chunk\nfiles  1,234\n');
  assert.match(stderr, /analyze 50 % half/);
  assert.is(code, 0);
  assert.equal(context.calls, ['execute {"depth":3,"path":"."}', 'close']);
});

test('run --json: the answer alone, wherever the option stands', async (context) => {
  const { code, stdout } = await start(context, ['run', 'analyze', '--depth', '3', '--json']).ended;
  assert.equal(JSON.parse(stdout), {
    execution_id: EXECUTION,
    session_id: SESSION,
    status: 'completed',
    result: { files: 1234 },
  });
  assert.is(code, 0);
});

test('run --session: leaves the session as it was', async (context) => {
  const { code } = await start(context, ['run', '--session', SESSION, 'analyze']).ended;
  assert.is(code, 0);
  assert.equal(context.calls, ['execute {}', 'leave']);
});

test('a failed command is 1 and one line', async (context) => {
  const { code, stdout, stderr } = await start(context, ['run', 'analyze', 'bad']).ended;
  assert.is(code, 1);
  assert.is(stdout, 'a chunk\n');
  assert.match(stderr, /\narbor: The command failed: no such directory\n$/);
});

test('run --detach: the id of the execution', async (context) => {
  const { code, stdout } = await start(context, ['run', 'analyze', 'endless', '--detach']).ended;
  assert.is(code, 0);
  assert.is(stdout, `${EXECUTION}\n`);
  assert.equal(context.calls, ['execute {"path":"endless"}']);
});

test('wrong usage is 2', async (context) => {
  const unknown = await start(context, ['run', 'nothing']).ended;
  assert.is(unknown.code, 2);
  assert.match(unknown.stderr, 'arbor: there is no command "nothing" for this client; there are: analyze\n');
  assert.is((await start(context, ['run', 'analyze', '--nothing', '1']).ended).code, 2);
  const missing = await start(context, ['run']).ended;
  assert.is(missing.code, 2);
  assert.match(missing.stderr, /^arbor: missing required argument/);
  assert.is((await start(context, ['watch', SESSION, '--after', 'x']).ended).code, 2);
  assert.is((await start(context, ['--help']).ended).code, 0);
});

test('the first Ctrl-C cancels and waits: 130', async (context) => {
  const run = start(context, ['run', 'analyze', 'endless']);
  await until(() => run.output().includes('a chunk'), 'the start');
  run.child.kill('SIGINT');
  const { code, stderr } = await run.ended;
  assert.is(code, 130);
  assert.match(stderr, 'cancelling');
  assert.equal(context.calls, ['execute {"path":"endless"}', 'cancel', 'close']);
});

test('the second Ctrl-C leaves at once: 130', async (context) => {
  context.gateway.handlers['executions.cancel'] = () => new Promise(() => undefined);
  const run = start(context, ['run', 'analyze', 'endless']);
  await until(() => run.output().includes('a chunk'), 'the start');
  run.child.kill('SIGINT');
  await until(() => run.output().includes('cancelling'), 'the first to be heard');
  run.child.kill('SIGINT');
  assert.is((await run.ended).code, 130);
});

test('watch: every event on a line, until the session is closed', async (context) => {
  const watch = start(context, ['watch', SESSION, '--until-closed']);
  await until(() => context.gateway.streams() === 1, 'the stream');
  context.gateway.append('execution_progress', { execution_id: EXECUTION, progress: 7 });
  context.gateway.append('session_closed');
  const { code, stdout } = await watch.ended;
  assert.is(code, 0);
  assert.equal(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s+/).slice(1, 3)),
    [
      ['1', 'session_opened'],
      ['2', 'execution_progress'],
      ['3', 'session_closed'],
    ],
  );
});

test('watch --json --after, and Ctrl-C', async (context) => {
  context.gateway.append('execution_queued', { execution_id: EXECUTION });
  const watch = start(context, ['watch', SESSION, '--json', '--after', '1']);
  await until(() => watch.output().includes('\n'), 'the event');
  watch.child.kill('SIGINT');
  const { code, stdout } = await watch.ended;
  assert.is(code, 130);
  assert.equal(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    [context.gateway.log[1]],
  );
});

test('sessions and cancel', async (context) => {
  const sessions = await start(context, ['sessions']).ended;
  assert.match(sessions.stdout, new RegExp(`session id +status +owner +created at\n${SESSION} +active +ada +now\n`));
  assert.is((await start(context, ['cancel', EXECUTION]).ended).stdout, `${EXECUTION} cancelled\n`);
});

test('credentials: those of the data directory; without any it says where it looked', async (context) => {
  const none = await start(context, ['sessions'], { ARBOR_TOKEN: '' }).ended;
  assert.is(none.code, 2);
  assert.match(none.stderr, /^arbor: no credentials: .arbor\/credentials.json .*arbor serve/);
  const data = join(context.directory, 'data');
  await mkdir(data);
  await writeFile(join(data, 'credentials.json'), JSON.stringify({ principal: 'ada', api_key: TOKEN }));
  assert.is((await start(context, ['sessions', '--data', 'data'], { ARBOR_TOKEN: '' }).ended).code, 0);
});

test('nobody there: one line that says how to start the server', async (context) => {
  const gone = await createFakeGateway();
  await gone.close();
  const { code, stderr } = await start(context, ['--url', gone.http, 'run', 'analyze']).ended;
  assert.is(code, 1);
  assert.match(stderr, new RegExp(`^arbor: nothing listens at ${gone.http}; .*arbor serve.*\n$`));
});

test('a reader that has seen enough ends it quietly', async (context) => {
  for (let i = 0; i < 5000; i += 1)
    context.gateway.append('execution_output', { execution_id: EXECUTION, chunk: 'x'.repeat(100) });
  const watch = start(context, ['watch', SESSION]);
  await until(() => watch.output().length > 0, 'a line');
  watch.child.stdout?.destroy();
  const { code, stderr } = await watch.ended;
  assert.is(code, 0);
  assert.is(stderr, '');
});

test.run();
