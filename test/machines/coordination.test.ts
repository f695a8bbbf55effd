import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import {
  coordination,
  coordinationFailure,
  coordinationView,
  type CoordinationContext,
} from '../../machines/coordination.ts';
import type { Effect } from '../../machines/effect.ts';
import { isOutcomeEvent, timestamp } from '../../machines/event.ts';
import type { CoordinationMessage, DeadlineMessage, Taken } from '../../machines/message.ts';
import {
  isEligible,
  voterOf,
  type Coordination,
  type Elector,
  type Rules,
  type Vote,
} from '../../machines/question.ts';
import { questionSchema } from '../../machines/question-schema.ts';
import { createDriver } from '../support/machine.ts';

/** A question has exactly one outcome, whatever is said to it in whatever order (contract, section 7). */
const test = suite('coordination');

type Incoming = (CoordinationMessage | DeadlineMessage) & Taken;

const START = 1_000_000;
const TIMEOUT_S = 10;

const elector = (client_id: string | null, principal: string, person = principal): Elector => ({
  client_id: client_id as Elector['client_id'],
  principal,
  person,
});
/** Two clients of ada, a share of hers, two of bob, one of cyd, and ada's key. */
const ELECTORS: readonly Elector[] = [
  elector('cli_a1', 'ada'),
  elector('cli_a2', 'ada'),
  elector('cli_s', 'share:shr_1', 'ada'),
  elector('cli_b1', 'bob'),
  elector('cli_b2', 'bob'),
  elector('cli_c', 'cyd'),
  elector(null, 'ada'),
];
const ADA = ELECTORS[0] as Elector;

const open = (rules: Partial<Rules> = {}, demanded = false, at = START): Incoming => ({
  type: 'coordination.open',
  session_id: 'ses_1',
  coordination_id: 'crd_1',
  question: questionSchema.parse({ operation: 'deploy', description: 'Now?', timeout: TIMEOUT_S, ...rules }),
  details: null,
  requester: ADA,
  execution_id: demanded ? 'exe_1' : null,
  electorate: ELECTORS,
  at,
  random: 0,
});
const vote = (who: Elector, said: Vote = 'confirm', at = START): Incoming => ({
  type: 'coordination.vote',
  elector: who,
  vote: said,
  comment: null,
  at,
  random: 0,
});
const electorate = (electors: readonly Elector[], at = START): Incoming => ({
  type: 'coordination.electorate',
  electors,
  at,
  random: 0,
});
const cancel = (at = START): Incoming => ({
  type: 'coordination.cancel',
  by: { principal: 'ada', client_id: null },
  reason: null,
  at,
  random: 0,
});
const deadline = (at: number): Incoming => ({ type: 'deadline', at, random: 0 });

const create = () => createDriver<CoordinationContext>(coordination);
const events = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => (effect.type === 'event' ? [effect.event] : []));
const outcomes = (effects: readonly Effect[]) => events(effects).filter(isOutcomeEvent);
const answered = (effects: readonly Effect[]): string[] =>
  effects.flatMap((effect) => {
    if (effect.type !== 'reply') return [];
    const { answer } = effect;
    return [answer.ok ? String(answer.body['status']) : (answer.problem.reason ?? answer.problem.code)];
  });

const asked = (rules: Partial<Rules> = {}, demanded = false) => {
  const one = create();
  one.take(open(rules, demanded));
  const say = (who: number, said: Vote = 'confirm') => answered(one.take(vote(ELECTORS[who] as Elector, said)))[0];
  return { one, say };
};

test('the requester, its other clients and its shares do not count, unless that was declared', () => {
  const { say } = asked({ required_confirmations: 2 });
  assert.equal([say(0), say(1), say(2), say(6)], ['voter', 'voter', 'voter', 'voter']);
  assert.equal([say(3), say(5)], ['open', 'confirmed']);
  const own = asked({ requester_may_vote: true });
  assert.is(own.say(2), 'confirmed');
});

test('by client each counts for itself, but for the one that asked, and never the key', () => {
  const { say } = asked({ distinct: 'client', required_confirmations: 3 });
  assert.equal([say(0), say(6)], ['voter', 'voter']);
  assert.equal([say(1), say(3), say(4)], ['open', 'open', 'confirmed']);
});

test('where a command demands it, a person confirms nothing of its own by any client or share', () => {
  const { say } = asked({ distinct: 'client' }, true);
  assert.equal([say(1), say(2), say(3)], ['voter', 'voter', 'confirmed']);
});

test('the same vote again is answered alike, another one is refused, over all clients of a voter', () => {
  const { say, one } = asked({ required_confirmations: 2 });
  assert.equal(
    [say(3), say(3), say(4), say(3, 'reject'), say(4, 'reject')],
    ['open', 'open', 'open', 'conflict', 'conflict'],
  );
  assert.is(one.standing().context.votes.length, 1);
});

test('a veto, the most rejections, and a quorum decide', () => {
  assert.is(asked({ veto: true, required_confirmations: 2 }).say(5, 'reject'), 'rejected');
  const two = asked({ max_rejections: 2, required_confirmations: 3 });
  assert.equal([two.say(3, 'reject'), two.say(5, 'reject')], ['open', 'rejected']);
  const none = asked();
  assert.equal([none.say(3, 'reject'), none.say(5)], ['open', 'confirmed']);
});

test('who loses the right to write loses the vote, and a voter who keeps it by another client keeps it', () => {
  const { one, say } = asked({ required_confirmations: 2 });
  say(3);
  one.take(electorate(ELECTORS.filter(({ client_id }) => client_id !== 'cli_b1')));
  assert.is(one.standing().context.votes.length, 1, 'bob is still there');
  one.take(electorate(ELECTORS.filter(({ principal }) => principal !== 'bob')));
  assert.is(one.standing().context.votes.length, 0);
  assert.is(say(5), 'open');
  one.take(electorate(ELECTORS));
  assert.is(say(3, 'confirm'), 'confirmed');
});

test('only the named may vote: by principal, by client, and a share by its issuer or its own name', () => {
  const named: Readonly<Record<string, readonly number[]>> = {
    ada: [0, 1, 2, 6],
    'share:shr_1': [2],
    cli_s: [2],
    bob: [3, 4],
    cli_b1: [3],
    eve: [],
  };
  for (const distinct of ['principal', 'client'] as const)
    for (const [name, indices] of Object.entries(named)) {
      const rules = { voters: [name], requester_may_vote: true, distinct, required_confirmations: 9 };
      const may = ELECTORS.map((_, who) => who).filter((who) => asked(rules).say(who) === 'open');
      // The key is no client: it does not count among clients.
      assert.equal(may, distinct === 'client' ? indices.filter((who) => who !== 6) : indices, `${distinct} ${name}`);
    }
});

test('the deadline ends it as declared, and never early', () => {
  for (const on_timeout of ['timed_out', 'rejected'] as const) {
    const { one } = asked({ on_timeout });
    assert.equal(one.take(deadline(START + TIMEOUT_S * 1_000 - 1)), []);
    const effects = one.take(deadline(START + TIMEOUT_S * 1_000));
    assert.equal(outcomes(effects), [`coordination_${on_timeout}`]);
    assert.is(coordinationView(one.standing().context, on_timeout).reason, 'timed_out');
  }
});

test('a vote that comes once the time is over counts for nothing, though the deadline has not been heard of yet', () => {
  for (const on_timeout of ['timed_out', 'rejected'] as const) {
    const { one } = asked({ on_timeout });
    const effects = one.take(vote(ELECTORS[5] as Elector, 'confirm', START + TIMEOUT_S * 1_000));
    assert.equal(events(effects), [`coordination_${on_timeout}`]);
    assert.equal(answered(effects), ['already_decided']);
    assert.is(coordinationView(one.standing().context, on_timeout).reason, 'timed_out');
  }
});

test('who waits for it hears of the outcome in the same turn', () => {
  const { one } = asked({}, true);
  const sent = one
    .take(vote(ELECTORS[5] as Elector))
    .flatMap((effect) => (effect.type === 'send' ? [[effect.to.kind, effect.message.type]] : []));
  assert.equal(sent, [
    ['session', 'coordination.ended'],
    ['execution', 'execution.confirmed'],
  ]);
});

test('who may read sees who voted how and when, who may vote, and until when; each vote is told with how it stands', () => {
  const { one } = asked({ required_confirmations: 2 });
  const said = [
    vote(ELECTORS[3] as Elector, 'reject', START + 1_000),
    vote(ELECTORS[5] as Elector, 'confirm', START + 2_000),
  ];
  const told = said.flatMap((each) => one.take(each)).flatMap((each) => (each.type === 'event' ? [each] : []));
  const bob = { principal: 'bob', client_id: 'cli_b1', comment: null };
  const cyd = { principal: 'cyd', client_id: 'cli_c', comment: null };
  const facts = { coordination_id: 'crd_1', rejections: 1 };
  assert.equal(
    told.map(({ event, subject, data }) => [event, subject, data]),
    [
      ['coordination_vote', 'crd_1', { ...facts, ...bob, vote: 'reject', confirmations: 0 }],
      ['coordination_vote', 'crd_1', { ...facts, ...cyd, vote: 'confirm', confirmations: 1 }],
    ],
  );
  const shown = coordinationView(one.standing().context, 'open');
  assert.equal(shown.rejections, [{ ...bob, at: timestamp(START + 1_000) }]);
  assert.equal(shown.confirmations, [{ ...cyd, at: timestamp(START + 2_000) }]);
  assert.equal(
    shown.eligible.map(({ client_id }) => client_id),
    ['cli_b1', 'cli_b2', 'cli_c'],
  );
  assert.equal([shown.created_at, shown.expires_at], [START, START + TIMEOUT_S * 1_000].map(timestamp));
});

test('given up, a question ends as cancelled and tells who waits, once', () => {
  const { one, say } = asked({}, true);
  const failing = () => coordinationFailure(one.standing().context, START);
  assert.equal(outcomes(failing()), ['coordination_cancelled']);
  assert.is(failing().filter(({ type }) => type === 'send').length, 2, 'the session and the execution');
  assert.is(say(5), 'confirmed');
  assert.equal(failing(), [], 'what has its outcome has no other');
  assert.equal(coordinationFailure(create().standing().context, START), []);
});

const arbitraryRules = fc.record({
  required_confirmations: fc.integer({ min: 1, max: 4 }),
  veto: fc.boolean(),
  max_rejections: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  on_timeout: fc.constantFrom('timed_out', 'rejected'),
  distinct: fc.constantFrom('principal', 'client'),
  requester_may_vote: fc.boolean(),
  voters: fc.option(
    fc.uniqueArray(fc.constantFrom('ada', 'bob', 'cyd', 'cli_a2', 'cli_b1'), { minLength: 1, maxLength: 3 }),
    { nil: undefined },
  ),
});
const arbitraryElector = fc.constantFrom(...ELECTORS);
const arbitraryMessage = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .tuple(arbitraryElector, fc.constantFrom<Vote>('confirm', 'confirm', 'reject'))
      .map(([who, said]) => vote(who, said)),
  },
  { weight: 2, arbitrary: fc.subarray([...ELECTORS]).map((electors) => electorate(electors)) },
  { weight: 1, arbitrary: fc.constant(deadline(0)) },
  { weight: 1, arbitrary: fc.constant(cancel()) },
);
const arbitraryHistory = fc.array(
  fc.record({ message: arbitraryMessage, gap: fc.oneof(fc.constant(0), fc.nat(4_000)), restore: fc.boolean() }),
  { maxLength: 20 },
);

test('whatever is said in whatever order: one outcome, never confirmed without its quorum, one vote a voter', () => {
  fc.assert(
    fc.property(arbitraryRules, fc.boolean(), arbitraryHistory, (rules, demanded, history) => {
      const one = create();
      const declared = JSON.parse(JSON.stringify(rules)) as Partial<Rules>;
      const seen = one.take(open(declared, demanded));
      let at = START;
      for (const { message, gap, restore } of history) {
        if (one.done()) break;
        if (restore) one.restore();
        at += gap;
        const effects = one.take({ ...message, at } as Incoming);
        seen.push(...effects);
        const { context, value } = one.standing();
        const ballot = { rules: context.question, requester: context.requester, demanded };
        const voters = context.votes.map((each) => voterOf(ballot, each));
        assert.is(new Set(voters).size, voters.length, 'one vote a voter');
        const present = new Set(
          context.electorate.filter((each) => isEligible(ballot, each)).map((each) => voterOf(ballot, each)),
        );
        if (message.type === 'coordination.electorate')
          assert.ok(
            voters.every((voter) => present.has(voter)),
            'of those who may',
          );
        const replies = message.type === 'coordination.vote' || message.type === 'coordination.cancel' ? 1 : 0;
        assert.is(answered(effects).length, replies);
        const confirmations = context.votes.filter((each) => each.vote === 'confirm').length;
        const rejections = context.votes.length - confirmations;
        if (value === 'confirmed') assert.ok(confirmations >= rules.required_confirmations, 'never without its quorum');
        if (value === 'confirmed' && rules.veto) assert.is(rejections, 0, 'never over a veto');
        if (value === 'open') {
          assert.ok(confirmations < rules.required_confirmations, 'a quorum decides at once');
          assert.ok(rejections < (rules.veto ? 1 : (rules.max_rejections ?? Infinity)), 'and so does a rejection');
        }
        const isLate = at >= START + TIMEOUT_S * 1_000;
        if (value === 'timed_out') assert.ok(isLate);
        if (isLate && message.type === 'coordination.vote')
          assert.is(value, rules.on_timeout, 'no vote after its time');
      }
      assert.is(outcomes(seen).length, one.done() ? 1 : 0);
      const { value, context } = one.standing();
      if (one.done()) assert.equal(outcomes(seen), [`coordination_${value}`]);
      assert.is(context.deadline === null, one.done(), 'a question ends by itself, and once');
      const shown = coordinationView(context, value as Coordination['status']);
      if (!rules.requester_may_vote && rules.distinct === 'principal')
        assert.not.ok(shown.confirmations.some(({ principal }) => principal === 'ada' || principal === 'share:shr_1'));
    }),
    { numRuns: 500 },
  );
});

test('every state is reached, and each shortest way that ends has one outcome', () => {
  const paths = getShortestPaths(coordination, {
    events: [
      open({ required_confirmations: 2, veto: true }),
      open({ on_timeout: 'rejected' }),
      vote(ELECTORS[3] as Elector),
      vote(ELECTORS[5] as Elector),
      vote(ELECTORS[5] as Elector, 'reject'),
      electorate(ELECTORS.slice(0, 3)),
      cancel(),
      deadline(START + TIMEOUT_S * 1_000),
    ] as EventFromLogic<typeof coordination>[],
    serializeState: ({ value, context }) =>
      `${value as string} ${context.votes.length} ${context.electorate.length} ${context.asked_at}`,
  });
  assert.equal(
    [...new Set(paths.map(({ state }) => state.value))].toSorted(),
    Object.keys(coordination.states).toSorted(),
  );
  for (const { steps, state } of paths) {
    const one = create();
    const seen = steps.flatMap(({ event }) => ((event.type as string) === 'xstate.init' ? [] : one.take(event)));
    assert.is(one.standing().value, state.value);
    assert.is(outcomes(seen).length, state.status === 'done' ? 1 : 0);
  }
});

test.run();
