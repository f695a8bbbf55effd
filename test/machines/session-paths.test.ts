import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import type { Effect } from '../../machines/effect.ts';
import { decide } from '../../machines/decision.ts';
import { WRITE } from '../../machines/session-context.ts';
import { session, type SessionContext } from '../../machines/session.ts';
import { createDriver } from '../support/machine.ts';
import { questionSchema } from '../../machines/question-schema.ts';
import { facts, newClient, newMember, newWebhook, OWNER, SESSION, SHARE_HASH, TTL } from '../support/session.ts';

const test = suite('session: paths');

/** When a share is over; later than anything else a session waits for while it is active; later than its time to live. */
const [LAPSE, LATE, TOO_LATE] = [10_001, 60_001, TTL + 120_000];
const says = (type: string, at: number, more = {}) => ({ type, at, random: 0, ...more });
const execute = {
  caller: OWNER,
  execution_id: 'exe_1',
  command: facts(),
  args: {},
  timeout_ms: 1_000,
  priority: 0,
  reserved: true,
  unattended: false,
  idempotency: null,
};
const open = { session_id: SESSION, owner: 'ada', ttl_ms: TTL, root_capability_id: 'cap_root', client: newClient('1') };
const BOB = { principal: 'bob', client_id: 'cli_2' };
const share = (id: string, more = {}) => ({
  share: { share_id: `shr_${id}`, capability_id: `cap_${id}`, token_hash: SHARE_HASH, label: null, asked: {} },
  caller: OWNER,
  ...more,
});
const short = { ...share('1').share, asked: { constraints: { expires_in: 10 } } };
const question = questionSchema.parse({ operation: 'deploy', description: 'Now?' });
const asked = { coordination_id: 'crd_1', question };
const MEMBERSHIP = [
  says('session.open', 0, open),
  says('session.register', 1, { caller: OWNER, client: newMember('2', 'bob', { constraints: { may_share: true } }) }),
  says('session.leave', 1, { caller: OWNER, client_id: 'cli_1' }),
  says('session.execute', 1, execute),
  says('session.cancel', 1, { caller: OWNER, execution_id: 'exe_1' }),
  says('execution.ended', 1, { execution_id: 'exe_1', charged: ['cap_1'] }),
  says('client.presence', 1, { client_id: 'cli_1', attached: true }),
  says('client.gone', 1, { client_id: 'cli_1' }),
  says('session.share', 1, share('1', { share: short })),
  says('session.share', 1, share('2', { caller: BOB })),
  says('session.unshare', 1, { caller: OWNER, share_id: 'shr_1' }),
  says('session.unshare', 1, { caller: BOB, share_id: 'shr_2' }),
  says('session.join', 1, { share_id: 'shr_1', client: newClient('3') }),
  says('session.revoke', 1, { caller: OWNER, capability_id: 'cap_2_0' }),
  says('session.revoke', 1, { caller: BOB, capability_id: 'cap_1' }),
  says('session.violated', 1, { caller: BOB, operation: 'events.list', reason: 'operation', count: 1 }),
  says('session.close', 1, { caller: OWNER }),
  says('deadline', LAPSE),
  says('deadline', LATE),
  says('deadline', TOO_LATE),
];
const QUESTIONS = [
  says('session.ask', 1, { caller: OWNER, ...asked }),
  says('session.vote', 1, { caller: BOB, coordination_id: 'crd_1', vote: 'confirm', comment: null }),
  says('session.retract', 1, { caller: OWNER, coordination_id: 'crd_1', requested_by: OWNER }),
  says('session.confirm', 1, {
    execution_id: 'exe_1',
    requester: OWNER,
    ...asked,
    coordination_id: 'crd_2',
    details: 1,
  }),
  says('coordination.ended', 1, { coordination_id: 'crd_1' }),
  says('coordination.ended', 1, { coordination_id: 'crd_2' }),
  says('session.webhook', 1, { caller: OWNER, webhook: newWebhook('1') }),
  says('webhook.gone', 1, { webhook_id: 'whk_1' }),
];
/** What may happen in any state; the ways there go over one of the two, since one multiplies the other. */
const EVENTS = [...MEMBERSHIP, ...QUESTIONS];
const AMONG_QUESTIONS = /^session\.(open|register|leave|execute|close)$|^execution\.ended$|^deadline$/;

/** Who is asked and leaves the answer to whom it sends the request on. */
const PASSED_ON = new Set([
  'session.execute',
  'session.cancel',
  'session.leave',
  'session.ask',
  'session.vote',
  'session.retract',
]);

/** The clients that may vote, by what the session knows of them. */
const writersOf = ({ clients }: SessionContext, at: number): string =>
  Object.entries(clients)
    .filter(([, { capabilities }]) => decide(capabilities, WRITE, at).allowed)
    .map(([id]) => id)
    .join(' ');
const sentTo = (effects: readonly Effect[], type: string): string[] =>
  effects.flatMap((effect) => (effect.type === 'send' && effect.message.type === type ? [effect.to.id] : []));

/** What nobody waits for an answer to. */
const UNANSWERED = new Set(['session.violated', 'session.confirm']);

/** What ends somebody's right to be there, or narrows it. */
const END = /^(client\.(leave|narrow)|share\.end|execution\.revoke)$/;

const pathsOver = (events: readonly { readonly type: string }[]) =>
  getShortestPaths(session, {
    // A session that is not open yet has no executions.
    events: ({ value }) =>
      events.filter(({ type }) => value !== 'new' || type !== 'session.confirm') as unknown as EventFromLogic<
        typeof session
      >[],
    serializeState: ({ value, context }) =>
      [
        value as string,
        context.executions.length,
        String(context.ending),
        ...Object.keys(context.clients),
        ...Object.keys(context.shares),
        ...context.coordinations.map(({ id }) => id),
        ...Object.keys(context.webhooks),
      ].join(' '),
    limit: 50_000,
  });
const amongMembers = pathsOver(MEMBERSHIP);
const amongQuestions = pathsOver([...MEMBERSHIP.filter(({ type }) => AMONG_QUESTIONS.test(type)), ...QUESTIONS]);
const paths = [...amongMembers, ...amongQuestions];

test('every state is reached', () => {
  const reached = new Set(amongMembers.map(({ state }) => state.value as string));
  assert.equal([...reached].toSorted(), Object.keys(session.states).toSorted());
});

test('on every path each request is answered once or passed on, and the session ends with one event, after its executions', () => {
  assert.ok(paths.length > 50, `${paths.length} paths`);
  for (const { steps } of paths) {
    const one = createDriver<SessionContext>(session);
    const endings: Effect[] = [];
    for (const { event } of steps) {
      if ((event.type as string) === 'xstate.init') continue;
      const effects = one.take(event as never);
      const replies = effects.filter(({ type }) => type === 'reply').length;
      const sends = effects.filter(({ type }) => type === 'send').length;
      const isAsked = event.type.startsWith('session.') && !UNANSWERED.has(event.type);
      if (isAsked && !(PASSED_ON.has(event.type) && sends > 0)) assert.is(replies, 1, event.type);
      else assert.ok(replies <= 1, event.type);
      const lastEvent = effects.findLastIndex(({ type }) => type === 'event');
      const firstSend = effects.findIndex((effect) => effect.type === 'send' && END.test(effect.message.type));
      if (firstSend !== -1 && event.type !== 'session.leave')
        assert.ok(lastEvent < firstSend, `${event.type} says what ends before it ends it`);
      endings.push(
        ...effects.filter((effect) => effect.type === 'event' && /^session_(closed|expired)$/.test(effect.event)),
      );
    }
    const { value, context } = one.standing();
    assert.is(endings.length, one.done() ? 1 : 0, value);
    if (one.done()) assert.is(context.executions.length, 0);
  }
});

test('in every state open questions hear of all who come and go, none that is over gets a vote, and none is left at the end', () => {
  const seen = new Set<string>();
  for (const { state } of amongQuestions) {
    const before = { value: state.value as string, context: state.context };
    const { coordinations, webhooks } = before.context;
    const isConcerned = coordinations.length > 0 || Object.keys(webhooks).length > 0 || before.context.ending !== null;
    if (!isConcerned || state.status === 'done') continue;
    for (const event of EVENTS as { type: string; at: number }[]) {
      const one = createDriver<SessionContext>(session, before);
      const effects = one.take(event);
      const { value, context } = one.standing();
      const questions = before.context.coordinations.map(({ id }) => id as string);
      if (context.ending === null && writersOf(before.context, 0) !== writersOf(context, 0)) {
        assert.equal(sentTo(effects, 'coordination.electorate'), questions, `${event.type} is told`);
        if (questions.length > 0) seen.add('electorate');
      }
      for (const type of ['coordination.vote', 'coordination.cancel'])
        for (const id of sentTo(effects, type)) {
          assert.ok(questions.includes(id), `${type} to what is open`);
          seen.add(type);
        }
      const isEnding = before.context.ending === null && context.ending !== null;
      const alone = before.context.coordinations
        .filter(({ execution_id }) => execution_id === null)
        .map(({ id }) => id);
      if (isEnding) assert.equal(sentTo(effects, 'coordination.cancel'), alone, 'all but those that end by themselves');
      const isOverdue = before.value === 'draining' && event.type === 'deadline';
      const isOver = value === 'closed' || value === 'expired';
      if (isOver && !isOverdue) {
        const left = questions.filter(
          (id) => !(event.type === 'coordination.ended' && id === Object(event).coordination_id),
        );
        assert.equal(left, [], 'questions end before their session');
      }
      if (isOver && before.value !== value) {
        assert.equal(sentTo(effects, 'webhook.end'), Object.keys(before.context.webhooks), 'endpoints end with it');
        if (Object.keys(before.context.webhooks).length > 0) seen.add('webhook.end');
      }
      if (event.type === 'session.confirm') {
        const isRefused = sentTo(effects, 'execution.confirmed').length > 0;
        const isOpened = sentTo(effects, 'coordination.open').length > 0;
        const isKnown = questions.includes('crd_2');
        if (before.value !== 'new' && !isKnown)
          assert.is.not(isRefused, isOpened, 'it is told, or the question is open');
        if (before.context.ending !== null && !isKnown) assert.ok(isRefused, 'a session that ends asks nothing more');
      }
    }
  }
  assert.equal([...seen].toSorted(), ['coordination.cancel', 'coordination.vote', 'electorate', 'webhook.end']);
});

test.run();
