import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError, problem } from '../../../machines/error.ts';
import { connect, joinSession } from '../../../src/client/connect.ts';
import { CLIENT, createFakeGateway, EXECUTION, SESSION, TOKEN, until, type FakeGateway } from './fake-gateway.ts';

const test = suite<{ gateway: FakeGateway }>('connect');

const registration = {
  session_id: SESSION,
  client_id: CLIENT,
  client_token: TOKEN,
  capabilities: [],
  event_channel: '',
  state_channel: '',
  webhook_url: '',
};

const execution = (more: object) => ({ execution_id: EXECUTION, session_id: SESSION, command: 'analyze', ...more });

test.before.each(async (context) => {
  context.gateway = await createFakeGateway({
    'sessions.create': () => registration,
    'commands.execute': () => ({ execution_id: EXECUTION, status: 'pending', mode: 'async', poll_url: '/' }),
  });
});
test.after.each(({ gateway }) => gateway.close());

test('without a session it makes one, with a session it registers there', async ({ gateway }) => {
  const made: unknown[] = [];
  gateway.handlers = {
    'sessions.create': (input) => {
      made.push(input.client);
      return registration;
    },
    'clients.register': (input) => {
      made.push([input.session_id, input.client]);
      return registration;
    },
  };
  const options = { url: gateway.http, token: TOKEN };
  assert.is((await connect(options)).client_id, CLIENT);
  await connect({ ...options, session: SESSION, client: { type: 'web', name: 'page' } });
  assert.equal(made, [{ type: 'cli' }, [SESSION, { type: 'web', name: 'page' }]]);
});

test('joins by a share, with credentials of its own or none, and is that client from then on', async ({ gateway }) => {
  const joins: unknown[] = [];
  const left: string[] = [];
  const { webhook_url: _, ...joined } = registration;
  gateway.handlers = {
    'sessions.join': ({ token, client }, bearer) => {
      joins.push([token, client, bearer]);
      return { ...joined, capabilities: [{ id: 'cap_1' }], shared: true };
    },
    'clients.leave': ({ client_id }, bearer) => (left.push(client_id, bearer), { client_id, status: 'left' }),
  };
  const session = await joinSession({ url: gateway.http, share: 'shr_1.secret' });
  await joinSession({ url: gateway.http, share: 'shr_1.secret', token: 'mine', client: { type: 'web', name: 'page' } });
  assert.equal(joins, [
    ['shr_1.secret', { type: 'api' }, ''],
    ['shr_1.secret', { type: 'web', name: 'page' }, 'mine'],
  ]);
  assert.equal(
    session.capabilities.map(({ id }) => id),
    ['cap_1'],
  );
  await session.leave();
  assert.equal(left, [CLIENT, TOKEN]);
});

test('runs a command to its end, over as many long-polls as that takes', async ({ gateway }) => {
  let polls = 0;
  gateway.handlers['executions.get'] = () => {
    polls += 1;
    return polls < 3 ? execution({ status: 'running' }) : execution({ status: 'completed', result: { files: 3 } });
  };
  const session = await connect({ url: gateway.http, token: TOKEN });
  assert.equal(await session.run('analyze', { path: '.' }), { files: 3 });
  assert.is(polls, 3);
});

test('a large result is fetched', async ({ gateway }) => {
  gateway.handlers['executions.get'] = () => execution({ status: 'completed', result_url: '/v1/…' });
  gateway.handlers['artifacts.get'] = ({ name }) => new TextEncoder().encode(JSON.stringify({ name }));
  const session = await connect({ url: gateway.http, token: TOKEN });
  assert.equal(await session.run('analyze'), { name: 'result' });
});

test('a failed run rejects with the problem that ended it', async ({ gateway }) => {
  gateway.handlers['executions.get'] = () =>
    execution({ status: 'failed', error: problem('handler_failed', 'no such directory') });
  const session = await connect({ url: gateway.http, token: TOKEN });
  await session.run('analyze').then(
    () => assert.unreachable(),
    (error: unknown) => {
      assert.instance(error, ProblemError);
      assert.is((error as ProblemError).problem.code, 'handler_failed');
    },
  );
});

test('a view is the present state and goes on with the events', async ({ gateway }) => {
  gateway.append('session_opened', { owner: 'ada' });
  gateway.handlers['sessions.get'] = () => ({
    session_id: SESSION,
    seq: 1,
    status: 'active',
    owner: 'ada',
    clients: [],
    executions: [],
    coordinations: [],
  });
  const session = await connect({ url: gateway.http, token: TOKEN });
  const stop = new AbortController();
  const view = await session.view({ signal: stop.signal });
  assert.is(view.getSnapshot().context.owner, 'ada');
  gateway.append('execution_queued', { execution_id: EXECUTION, command: 'analyze' });
  await until(() => view.getSnapshot().context.executions[EXECUTION] !== undefined, 'the execution');
  stop.abort();
  await until(() => gateway.streams() === 0, 'the end of the stream');
});

test.run();
