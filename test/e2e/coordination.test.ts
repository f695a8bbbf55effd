// limit: 180 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isOutcomeEvent, isTerminalEvent } from '../../machines/event.ts';
import { createWorkspace, eventually, type Json } from '../support/server.ts';
import { ok } from './scene.ts';
import { createSpending, pathOf } from './spending.ts';

/** People decide (contract, section 7): over every binding, over a `kill -9`, and nobody for oneself. */
const test = suite('coordination');

const space = createWorkspace();
const config = space.config({ commands: ['no-op', 'guarded', 'asks'], agents: { threads: 2 } });
let server = await space.serve({ config });
test.after(async () => space[Symbol.asyncDispose]());
const { joinBy, openMqtt, share, endAll } = createSpending(() => server);
test.after.each(endAll);

const keys = new Map<string, string>();
const keyOf = async (principal: string): Promise<string> => {
  const known = keys.get(principal);
  if (known !== undefined) return known;
  const { api_key: key } = ok(await server.call('POST', '/v1/keys', { body: { principal } }), 201);
  keys.set(principal, key);
  return key;
};
/** Joins as a principal of its own, with the right to write. */
const come = async (session: Json, principal: string, constraints: object = {}): Promise<Json> =>
  joinBy(await share(session, constraints), await keyOf(principal));
const ask = async (session: Json, token: string, more: object = {}): Promise<Json> => {
  const body = { operation: 'deploy', description: 'May it be deployed?', ...more };
  return ok(await server.call('POST', `${pathOf(session)}/coordinations`, { token, body }), 201);
};
const vote = (question: Json, { client_token: token }: Json, said = 'confirm') =>
  server.call('POST', `/v1/coordinations/${question.coordination_id}/votes`, { token, body: { vote: said } });
const show = async (id: string): Promise<Json> => ok(await server.call('GET', `/v1/coordinations/${id}`), 200);
const outcomesOf = async (session: Json, id: string) =>
  (await server.events(session.session_id)).filter(
    ({ type, data }) => isOutcomeEvent(type) && data['coordination_id'] === id,
  );
const OWNER = (): Json => ({ client_token: server.key });

test('a question is asked, shown to whoever comes, voted on over HTTP and MQTT, and has one outcome', async () => {
  const session = await server.open();
  const [bob, cyd] = [await come(session, 'bob'), await come(session, 'cyd')];
  const question = await ask(session, server.key, { required_confirmations: 2 });
  assert.is(question.status, 'open');
  assert.equal(
    question.eligible.map((each: Json) => each.client_id).toSorted(),
    [bob.client_id, cyd.client_id].toSorted(),
  );

  const state = ok(await server.call('GET', pathOf(session), { token: bob.client_token }), 200);
  assert.equal(
    state.coordinations.map((each: Json) => each.coordination_id),
    [question.coordination_id],
  );
  const self = await vote(question, OWNER());
  assert.equal([self.status, self.body.reason], [403, 'voter']);
  const waiting = server.call('GET', `/v1/coordinations/${question.coordination_id}?wait=30`);

  assert.is(ok(await vote(question, bob), 200).status, 'open');
  assert.is(ok(await vote(question, bob), 200).confirmations.length, 1, 'the same vote again');
  assert.is((await vote(question, bob, 'reject')).body.code, 'conflict');
  const line = await openMqtt(cyd);
  const said = await line.call('coordinations.vote', { coordination_id: question.coordination_id, vote: 'confirm' });
  assert.is(said.result.status, 'confirmed');

  assert.is(ok(await waiting, 200).status, 'confirmed', 'the long-poll');
  assert.is(ok(await vote(question, bob), 200).status, 'confirmed', 'the same vote again is answered alike');
  assert.is((await vote(question, bob, 'reject')).body.code, 'already_decided');
  const list = ok(await server.call('GET', `${pathOf(session)}/coordinations`), 200);
  assert.equal(
    list.items.map((each: Json) => [each.status, each.confirmations.map((by: Json) => by.principal)]),
    [['confirmed', ['bob', 'cyd']]],
  );
  assert.is((await outcomesOf(session, question.coordination_id)).length, 1);
});

test('the requester takes it back, and whoever loses the right to write loses the vote', async () => {
  const session = await server.open();
  const [bob, cyd] = [await come(session, 'bob'), await come(session, 'cyd')];
  const own = await ask(session, bob.client_token);
  assert.is(
    (await server.call('DELETE', `/v1/coordinations/${own.coordination_id}`, { token: cyd.client_token })).status,
    403,
  );
  const taken = await server.call('DELETE', `/v1/coordinations/${own.coordination_id}`, { token: bob.client_token });
  assert.is(ok(taken, 200).status, 'cancelled');

  const question = await ask(session, server.key, { required_confirmations: 2 });
  ok(await vote(question, bob), 200);
  ok(await server.call('DELETE', `/v1/shares/${bob.capabilities[0].principal.slice('share:'.length)}`), 200);
  const now = await show(question.coordination_id);
  assert.equal([now.status, now.confirmations], ['open', []]);
  assert.equal(
    now.eligible.map((each: Json) => each.client_id),
    [cyd.client_id],
  );
  ok(await server.call('DELETE', pathOf(session)), 200);
  await eventually(
    'it ends with its session',
    async () => (await show(question.coordination_id)).status === 'cancelled',
  );
  const log = await server.events(session.session_id);
  assert.is(log.at(-1)?.type, 'session_closed');
});

test('1,000 votes at once have one outcome and one event', async () => {
  const session = await server.open();
  const voters = await Promise.all(Array.from({ length: 20 }, (_, n) => come(session, `voter-${n}`)));
  const question = await ask(session, server.key, { required_confirmations: 12, max_rejections: 9 });
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, (_, n) => {
      const voter = n % voters.length;
      return vote(question, voters[voter] as Json, voter % 5 === 4 ? 'reject' : 'confirm');
    }),
  );
  for (const { status, text } of answers) assert.ok(status === 200 || status === 409, text);
  const outcomes = await outcomesOf(session, question.coordination_id);
  assert.equal(
    outcomes.map(({ type }) => type),
    ['coordination_confirmed'],
  );
  const { confirmations, rejections } = await show(question.coordination_id);
  assert.is(confirmations.length, 12);
  assert.ok(rejections.length < 9);
  const votes = (await server.events(session.session_id)).filter(({ type }) => type === 'coordination_vote');
  assert.is(new Set(votes.map(({ data }) => data['principal'])).size, votes.length, 'one vote a voter');
});

test('a command that demands it waits for a yes over a kill -9, and its secrets are shown to nobody', async () => {
  const session = await server.open();
  await come(session, 'bob');
  const body = { command: 'guarded', args: { target: 'production', api_key: 'k-secret' } };
  const first = ok(await server.execute(session.session_id, body), 202);
  const second = ok(await server.execute(session.session_id, body), 202);
  const [question, other] = [await show(first.coordination_id), await show(second.coordination_id)];
  assert.equal(question.details, {
    command: 'guarded',
    risk: 'medium',
    args: { target: 'production', api_key: '[redacted]' },
  });
  assert.is((await vote(question, OWNER())).body.reason, 'voter', 'nobody confirms one’s own');

  await server.kill();
  server = await space.serve({ config });
  const parked = ok(await server.call('GET', `/v1/executions/${first.execution_id}`), 200);
  assert.is(parked.status, 'awaiting_confirmation');
  const bob = await come(session, 'bob');
  assert.is(ok(await vote(question, bob), 200).status, 'confirmed');
  assert.is(ok(await vote(other, bob, 'reject'), 200).status, 'open', 'one rejection is no veto');
  ok(await server.call('DELETE', `/v1/coordinations/${other.coordination_id}`), 200);
  const done = ok(await server.call('GET', `/v1/executions/${first.execution_id}?wait=30`), 200);
  assert.equal([done.status, done.result], ['completed', { done: 'production' }]);
  const never = ok(await server.call('GET', `/v1/executions/${second.execution_id}?wait=30`), 200);
  assert.equal([never.status, never.error.code], ['cancelled', 'cancelled']);
  const log = await server.events(session.session_id);
  assert.not.match(JSON.stringify(log), 'k-secret');
  assert.is(
    log.filter(({ type, data }) => isTerminalEvent(type) && data['execution_id'] === first.execution_id).length,
    1,
  );
});

test('a capability that demands it lets its holder start nothing alone, by no client or share of its own', async () => {
  const session = await server.open();
  const mallory = await come(session, 'mallory', { require_confirmations: 1, may_share: true, max_operations: 50 });
  const accomplices = [
    await joinBy(await share(session, { require_confirmations: 1 }, mallory.client_token)),
    await come(session, 'mallory'),
    mallory,
  ];
  const started = ok(
    await server.execute(session.session_id, { command: 'no-op' }, 'respond-async', mallory.client_token),
    202,
  );
  const question = await show(started.coordination_id);
  for (const one of accomplices) assert.is((await vote(question, one)).body.reason, 'voter');
  assert.is(
    ok(await server.call('GET', `/v1/executions/${started.execution_id}`), 200).status,
    'awaiting_confirmation',
  );
  assert.is(ok(await vote(question, OWNER()), 200).status, 'confirmed');
  assert.is(ok(await server.call('GET', `/v1/executions/${started.execution_id}?wait=30`), 200).status, 'completed');
});

test('a handler asks in the middle, survives a kill -9 meanwhile, and goes on with what it had', async () => {
  const session = await server.open();
  const body = { command: 'asks', args: { mark: 'm' } };
  const { execution_id: id } = ok(await server.execute(session.session_id, body), 202);
  const execution = async (): Promise<Json> => ok(await server.call('GET', `/v1/executions/${id}`), 200);
  await eventually('it waits', async () => (await execution()).status === 'waiting');
  await server.kill();
  server = await space.serve({ config });
  const bob = await come(session, 'bob');
  const state = ok(await server.call('GET', pathOf(session)), 200);
  const [question] = state.coordinations;
  assert.equal([question.execution_id, question.description, question.operation], [id, 'Shall it go on?', 'asks']);
  assert.equal(question.details.api_key, '[redacted]');
  assert.is(ok(await vote(question, bob), 200).status, 'confirmed');
  const done = ok(await server.call('GET', `/v1/executions/${id}?wait=30`), 200);
  assert.equal([done.status, done.result.status, done.result.by], ['completed', 'confirmed', ['bob']]);
  assert.is(done.result.mark, question.details.mark, 'the step ran once');
  assert.is(done.attempts, 1, 'waiting for people is no attempt');

  const late = ok(await server.execute(session.session_id, { command: 'asks', args: { mark: 'n', timeout: 1 } }), 202);
  const ended = ok(await server.call('GET', `/v1/executions/${late.execution_id}?wait=30`), 200);
  assert.equal([ended.status, ended.result.status], ['completed', 'timed_out']);
});

test('arbor confirm and reject vote, and arbor watch shows what is open to whoever comes', async () => {
  const session = await server.open();
  const question = await ask(session, server.key, { requester_may_vote: true });
  const flags = ['--url', server.http, '--token', server.key];
  const watching = space.arbor([...flags, 'watch', session.session_id]);
  await watching.said('May it be deployed?');
  const { code, stdout } = await space
    .arbor([...flags, 'confirm', question.coordination_id, '--comment', 'go'])
    .ended();
  assert.is(code, 0);
  assert.match(stdout, `${question.coordination_id} confirmed: deploy (1 of 1 confirmations, 0 rejections)`);
  assert.is((await show(question.coordination_id)).confirmations[0].comment, 'go');
  await watching.said('coordination_confirmed');
  watching.child.kill('SIGINT');
  const again = await space.arbor([...flags, 'reject', question.coordination_id]).ended();
  assert.is(again.code, 1);
  assert.match(again.stderr, 'outcome');
  const other = await ask(session, server.key, { requester_may_vote: true, veto: true });
  const rejected = await space.arbor([...flags, 'reject', other.coordination_id]).ended();
  assert.match(rejected.stdout, `${other.coordination_id} rejected: deploy (0 of 1 confirmations, 1 rejections)`);
});

test.run();
