import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError } from '../../../machines/error.ts';
import { CLIENT, SESSION, TOKEN, until } from '../client/fake-gateway.ts';
import { closeArbor, openArbor, startArbor, type ArborContext } from './start-arbor.ts';

const SHARE_TOKEN = 'shr_01K0000000000000000000ABCD.the-secret';

interface Context extends ArborContext {
  /** What was sent to `sessions.join`, with the bearer. */
  joins: { readonly token: string; readonly client: unknown; readonly bearer: string }[];
  left: unknown[];
}
const test = suite<Context>('arbor join');

test.before.each(async (context) => {
  await openArbor(context);
  context.joins = [];
  context.left = [];
  context.gateway.append('session_opened', { owner: 'ada' });
  context.gateway.handlers = {
    'sessions.join': ({ token, client }, bearer) => {
      context.joins.push({ token, client, bearer });
      if (token !== SHARE_TOKEN) throw new ProblemError('unauthenticated', 'the token is not known');
      return {
        session_id: SESSION,
        client_id: CLIENT,
        client_token: TOKEN,
        capabilities: [
          {
            id: 'cap_1',
            resource_type: 'cli_operations',
            operations: ['read'],
            scope: ['*'],
            constraints: { read_only: true },
            principal: 'share:shr_1',
            session_id: SESSION,
            parent_id: null,
            depth: 1,
            issued_at: '2026-11-24T00:00:00.000Z',
          },
        ],
        event_channel: '',
        state_channel: '',
        shared: true,
      };
    },
    'clients.leave': (input, bearer) => {
      context.left.push({ ...input, bearer });
      return { client_id: CLIENT, status: 'left' };
    },
  };
});
test.after.each(closeArbor);

const ALONE = { ARBOR_TOKEN: '' };

test('the events as they come, as that client; Ctrl-C leaves: 130', async (context) => {
  const started = startArbor(context, ['join', '--name', 'grace', '--type', 'web'], {
    env: { ...ALONE, ARBOR_SHARE_TOKEN: SHARE_TOKEN },
  });
  await until(() => started.stdout().includes('session_opened'), 'the past');
  context.gateway.append('execution_progress', { execution_id: 'exe_1', progress: 7 });
  await until(() => started.stdout().includes('exe_1 7 %'), 'the present');
  started.child.kill('SIGINT');
  const { code, stdout, stderr } = await started.ended;
  assert.is(code, 130, stderr);
  assert.is(stdout.trimEnd().split('\n').length, 2);
  assert.is(stderr, `${CLIENT} in ${SESSION}: read on every command; read only\n`);
  assert.equal(context.joins, [{ token: SHARE_TOKEN, client: { type: 'web', name: 'grace' }, bearer: '' }]);
  assert.equal(context.left, [{ session_id: SESSION, client_id: CLIENT, bearer: TOKEN }]);
});

test('the end of the session ends it: 0', async (context) => {
  context.gateway.append('session_closed');
  const { code, stdout } = await startArbor(context, ['join', SHARE_TOKEN, '--json', '--after', '1'], { env: ALONE })
    .ended;
  assert.is(code, 0);
  assert.equal(JSON.parse(stdout), context.gateway.log[1]);
});

test('--detach: the session, the client and its token, and it stays', async (context) => {
  const text = await startArbor(context, ['join', '-', '--detach'], { env: ALONE, input: `${SHARE_TOKEN}\nmore` })
    .ended;
  assert.is(text.code, 0, text.stderr);
  assert.is(text.stdout, `session ${SESSION}\nclient  ${CLIENT}\ntoken   ${TOKEN}\n`);
  assert.match(text.stderr, `ARBOR_TOKEN=<token> arbor watch ${SESSION}`);
  const json = await startArbor(context, ['join', SHARE_TOKEN, '--detach', '--json'], { env: ALONE }).ended;
  assert.is(JSON.parse(json.stdout).client_token, TOKEN);
  assert.equal([json.stderr, context.left], ['', []]);
});

test('credentials of its own are sent where they are given, never those that lie in the data directory', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'arbor-cli-'));
  try {
    await mkdir(join(directory, '.arbor'));
    await writeFile(join(directory, '.arbor', 'credentials.json'), JSON.stringify({ api_key: 'the-operator' }));
    await startArbor(context, ['join', SHARE_TOKEN, '--detach'], { env: ALONE, cwd: directory }).ended;
    await startArbor(context, ['join', SHARE_TOKEN, '--detach'], { env: { ARBOR_TOKEN: 'mine' }, cwd: directory })
      .ended;
    await startArbor(context, ['--token', 'given', 'join', SHARE_TOKEN, '--detach'], { cwd: directory }).ended;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  assert.equal(
    context.joins.map(({ bearer }) => bearer),
    ['', 'mine', 'given'],
  );
});

test('a token that is not known: 1, and what it may be; none at all: 2', async (context) => {
  const wrong = await startArbor(context, ['join', 'shr_x.y'], { env: ALONE }).ended;
  assert.equal([wrong.code, wrong.stderr], [1, 'arbor: the token of the share is wrong, revoked or expired\n']);
  const own = await startArbor(context, ['join', 'shr_x.y']).ended;
  assert.match(own.stderr, '--token or ARBOR_TOKEN');
  const none = await startArbor(context, ['join'], { env: ALONE }).ended;
  assert.is(none.code, 2);
  assert.match(none.stderr, /ARBOR_SHARE_TOKEN.*arbor join -/);
  const empty = await startArbor(context, ['join', '-'], { env: ALONE, input: '\n' }).ended;
  assert.is(empty.code, 2);
});

test('who is cut off hears why: 1', async (context) => {
  const started = startArbor(context, ['join', SHARE_TOKEN], { env: ALONE });
  await until(() => context.gateway.streams() === 1, 'the stream');
  context.gateway.append('capability_revoked', { capability_id: 'cap_1' });
  await until(() => started.stdout().includes('capability_revoked'), 'the event');
  context.gateway.handlers['events.list'] = () => {
    throw new ProblemError('unauthenticated', 'the token is dead');
  };
  context.gateway.cutStreams();
  const { code, stderr } = await started.ended;
  assert.is(code, 1);
  assert.match(stderr, /\narbor: cut off: the share was revoked or has expired/);
});

test.run();
