import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { coordinationAddress, sessionAddress } from '../../machines/address.ts';
import type { CoordinationContext } from '../../machines/coordination.ts';
import type { CoordinationId } from '../../machines/id.ts';
import type { Caller } from '../../machines/message.ts';
import type { Vote } from '../../machines/question.ts';
import { questionSchema } from '../../machines/question-schema.ts';
import { SESSION, OWNER, body, code, createSession, facts, newMember, reason, told } from '../support/session.ts';

/** What a session has to do with the questions in it: who may ask and vote, and when they end. */
const test = suite('session: coordinations');

const create = () => {
  const one = createSession();
  for (const [id, principal] of [
    ['b', 'bob'],
    ['c', 'cyd'],
  ] as const)
    one.register(newMember(id, principal));
  let asked = 0;
  const ask = (rules = {}, caller: Caller = OWNER) =>
    one.ask({
      type: 'session.ask',
      caller,
      coordination_id: `crd_${++asked}`,
      question: questionSchema.parse({ operation: 'deploy', description: 'Now?', ...rules }),
    });
  const vote = (coordination_id: CoordinationId, caller: Caller, said: Vote = 'confirm') =>
    one.ask({ type: 'session.vote', caller, coordination_id, vote: said, comment: null });
  const open = () => one.context().coordinations.map(({ id }) => id);
  const electors = (id: CoordinationId) =>
    (
      one.ring.actor(coordinationAddress(SESSION, id))?.standing().context as CoordinationContext | undefined
    )?.electorate.map(({ client_id }) => client_id);
  return { one, ask, vote, open, electors };
};

test('asking is charged, and bounded at 100 open questions', () => {
  const { one, ask, open } = create();
  one.share({ id: 's', constraints: { max_operations: 2 } });
  one.join('shr_s', 'g');
  assert.equal(
    [1, 2, 3].map(() => reason(ask({}, one.as('cli_g')))),
    ['ok', 'ok', 'exhausted'],
  );
  assert.is(one.context().ledger.meters['cap_s']?.running, 0, 'it is not under way');
  for (let n = open().length; n < 100; n++) body(ask());
  assert.is(code(ask()), 'conflict');
  const parked = one.execute({
    command: facts({ confirmations: questionSchema.parse({ operation: 'x', description: 'y' }) }),
  });
  assert.is(code(parked), 'conflict', 'a command that needs one has no room either');
  assert.is(told(one, 'execution_queued').length, 0);
});

test('who may not write neither asks nor votes', () => {
  const { one, ask, vote, electors } = create();
  one.register(newMember('r', 'rob', { operations: ['read'] }));
  assert.is(reason(ask({}, one.as('cli_r'))), 'operation');
  body(ask());
  assert.is(reason(vote('crd_2', one.as('cli_r'))), 'operation');
  assert.is(code(vote('crd_2', { principal: 'eve', client_id: 'cli_x' })), 'unauthenticated');
  assert.is(code(vote('crd_9', one.as('cli_b'))), 'already_decided');
  assert.equal(electors('crd_2'), [null, 'cli_1', 'cli_b', 'cli_c'], 'nor does it count among those who may');
});

test('a question is there once, and each open one by itself: all hear of who comes, and one that ends leaves the others', () => {
  const { one, ask, vote, open, electors } = create();
  body(ask());
  body(ask());
  const again = one.ask({
    type: 'session.ask',
    caller: OWNER,
    coordination_id: 'crd_2',
    question: questionSchema.parse({ operation: 'x', description: 'y' }),
  });
  assert.equal([code(again), open()], ['conflict', ['crd_1', 'crd_2']]);
  one.register(newMember('d', 'dan'));
  for (const id of ['crd_1', 'crd_2'] as const) assert.ok(electors(id)?.includes('cli_d'), id);
  body(vote('crd_1', one.as('cli_d')));
  assert.equal(open(), ['crd_2']);
  assert.is(code(vote('crd_1', one.as('cli_b'))), 'already_decided');
  assert.is(body(vote('crd_2', one.as('cli_b')))['status'], 'confirmed');
});

test('a question is taken back by who asked, by that client and no other, and by the owner', () => {
  for (const [id, asker, taker, said] of [
    ['crd_1', 'cli_b', 'cli_b', 'ok'],
    ['crd_1', 'cli_b', 'cli_b2', 'owner'],
    ['crd_1', 'cli_b', 'cli_c', 'owner'],
    ['crd_1', 'cli_b', 'cli_1', 'ok'],
    ['crd_1', 'cli_b', null, 'ok'],
    ['crd_9', 'cli_b', 'cli_b', 'already_decided'],
  ] as const) {
    const { one, ask } = create();
    one.register(newMember('b2', 'bob'));
    body(ask({}, one.as(asker)));
    const caller = taker === null ? OWNER : one.as(taker);
    const retract = { type: 'session.retract', caller, coordination_id: id, requested_by: one.as(asker) } as const;
    const answer = one.ask(retract);
    assert.is(reason(answer) ?? code(answer), said, `${taker} of ${asker}`);
    assert.is(told(one, 'coordination_cancelled').length, said === 'ok' ? 1 : 0);
  }
});

test('asking, voting and taking back are signs of life', () => {
  const { one, ask, vote } = create();
  const says = [
    () => ask({ required_confirmations: 2 }),
    () => vote('crd_1', one.as('cli_b')),
    () => one.ask({ type: 'session.retract', caller: OWNER, coordination_id: 'crd_1', requested_by: OWNER }),
  ];
  for (const say of says) {
    one.ring.advance(1_000);
    body(say());
    assert.is(one.context().last_active_at, one.ring.now);
  }
});

test('a handler asks once; where there is no room, or the session ends, it hears at once that nobody is asked', () => {
  const confirm = (one: ReturnType<typeof createSession>, coordination_id: CoordinationId): void => {
    const requester = OWNER;
    const asked = { coordination_id, question: questionSchema.parse({ operation: 'x', description: 'y' }), details: 1 };
    one.ring.tell(sessionAddress(SESSION), { type: 'session.confirm', execution_id: 'exe_1', requester, ...asked } as {
      type: string;
    });
  };
  const heard = ({ ring }: ReturnType<typeof createSession>): unknown[] =>
    ring.log.flatMap(({ effect }) =>
      effect.type === 'send' && effect.message.type === 'execution.confirmed'
        ? [(effect.message as unknown as { confirmation: { status: string } }).confirmation.status]
        : [],
    );
  const { one, ask, open } = create();
  body(one.execute());
  for (const _ of [1, 2]) confirm(one, 'crd_h');
  assert.equal([open(), told(one, 'coordination_request').length, heard(one)], [['crd_h'], 1, []]);
  while (open().length < 100) body(ask());
  confirm(one, 'crd_i');
  assert.equal([open().length, heard(one)], [100, ['cancelled']]);

  const ending = create().one;
  body(ending.execute());
  ending.lose('exe_1');
  body(ending.close());
  confirm(ending, 'crd_h');
  assert.equal([ending.state(), ending.context().coordinations, heard(ending)], ['draining', [], ['cancelled']]);
});

test('open questions hear of whoever comes, goes, or is narrowed; a late joiner counts', () => {
  const { one, ask, vote, electors } = create();
  body(ask({ required_confirmations: 2 }));
  body(vote('crd_1', one.as('cli_b')));
  one.register(newMember('d', 'dan'));
  assert.equal(electors('crd_1'), [null, 'cli_1', 'cli_b', 'cli_c', 'cli_d']);
  one.leave('cli_b');
  assert.equal(electors('crd_1'), [null, 'cli_1', 'cli_c', 'cli_d']);
  assert.is(body(vote('crd_1', one.as('cli_d')))['status'], 'open', 'who has left has no vote');
  one.revoke(String(one.context().clients['cli_c']?.capabilities[0]?.id));
  assert.equal(electors('crd_1'), [null, 'cli_1', 'cli_d']);
});

test('whose time to write is over has no vote any more, before anything is decided with it', () => {
  for (const isAwake of [true, false]) {
    const { one, ask, vote, electors } = create();
    one.share({ id: 's', constraints: { expires_in: 10 } });
    one.join('shr_s', 'g', { principal: 'gus' });
    body(ask({ required_confirmations: 2 }));
    body(vote('crd_1', one.as('cli_g')));
    // Its deadline may be under way still as the next vote comes.
    if (isAwake) one.ring.advance(10_000);
    else one.ring.now += 10_000;
    assert.is(body(vote('crd_1', one.as('cli_b')))['status'], 'open');
    one.ring.advance(0);
    assert.equal(electors('crd_1'), [null, 'cli_1', 'cli_b', 'cli_c']);
    assert.is(body(vote('crd_1', one.as('cli_c')))['status'], 'confirmed');
  }
});

test('a share votes as its issuer, over shares of shares', () => {
  const { one, ask, vote } = create();
  one.register(newMember('m', 'mallory', { constraints: { may_share: true } }));
  one.share({ id: 's1', caller: one.as('cli_m'), constraints: { may_share: true } });
  one.join('shr_s1', 'g1');
  one.share({ id: 's2', caller: one.as('cli_g1') });
  one.join('shr_s2', 'g2');
  body(ask({ required_confirmations: 2 }, one.as('cli_m')));
  for (const id of ['cli_g1', 'cli_g2', 'cli_m'] as const) assert.is(reason(vote('crd_1', one.as(id))), 'voter');
  body(ask({ required_confirmations: 2 }));
  body(vote('crd_2', one.as('cli_g2')));
  assert.is(code(vote('crd_2', one.as('cli_m'), 'reject')), 'conflict', 'the same person has voted');
});

test('questions end with their session, before it says so', () => {
  const { one, ask, open } = create();
  body(ask());
  body(one.close());
  assert.equal([one.isOver(), open()], [true, []]);
  const ends = one.ring.events.map(({ event }) => event).filter((event) => /^(coordination_c|session_c)/.test(event));
  assert.equal(ends, ['coordination_cancelled', 'session_closed']);
});

test('what a capability and a command demand is both demanded, and who holds the capability does not say yes itself', () => {
  for (const [demanded, own, required, mayVote] of [
    [2, 1, 2, false],
    [2, 3, 3, false],
    [1, undefined, 1, false],
    [undefined, 2, 2, true],
  ] as const) {
    const { one } = create();
    const constraints = demanded === undefined ? {} : { require_confirmations: demanded };
    one.register(newMember('m', 'mallory', { constraints }));
    const rules = { required_confirmations: own, requester_may_vote: true };
    const asked =
      own === undefined ? {} : { confirmations: questionSchema.parse({ operation: 'x', description: 'y', ...rules }) };
    body(one.execute({ caller: one.as('cli_m'), command: facts(asked), reserved: true }));
    for (const request of told(one, 'coordination_request')) {
      assert.equal([request['required_confirmations'], request['requester_may_vote']], [required, mayVote]);
      const eligible = request['eligible'] as { principal: string }[];
      assert.is(
        eligible.some(({ principal }) => principal === 'mallory'),
        mayVote,
      );
    }
    assert.is(told(one, 'coordination_request').length, 1);
    assert.equal(one.ring.runs, []);
  }
});

test('voters are shown what is to run but for its secrets, and long arguments by the execution alone', () => {
  const { one } = create();
  const command = facts({
    secrets: ['pin'],
    confirmations: questionSchema.parse({ operation: 'x', description: 'y' }),
  });
  body(one.execute({ command, args: { path: 'p', pin: 7 } }));
  body(one.execute({ command, args: { path: 'p'.repeat(20_000) } }));
  assert.equal(
    told(one, 'coordination_request').map((data) => data['details']),
    [
      { command: 'analyze', risk: 'low', args: { path: 'p', pin: '[redacted]' } },
      { command: 'analyze', risk: 'low', args_omitted: true },
    ],
  );
});

test('as a session closes, the question of an execution ends with that, and all others with the session', () => {
  const { one, ask } = create();
  const rules = questionSchema.parse({ operation: 'x', description: 'y' });
  body(one.execute({ execution_id: 'exe_g', command: facts({ confirmations: rules }) }));
  body(ask());
  body(one.close());
  const ended = told(one, 'coordination_cancelled').map(
    (data) => `${String(data['execution_id'])} ${String(data['reason'])}`,
  );
  assert.equal(ended.toSorted(), ['exe_g execution_ended', 'undefined session_ended']);
});

test('an execution that ends takes its question back, and one that is given up tells its execution', () => {
  const { one } = create();
  const rules = questionSchema.parse({ operation: 'x', description: 'y' });
  body(one.execute({ command: facts({ confirmations: rules }) }));
  body(one.cancel('exe_1'));
  assert.equal(
    told(one, 'coordination_cancelled').map((data) => data['reason']),
    ['execution_ended'],
  );
  body(one.execute({ command: facts({ confirmations: rules }) }));
  one.ring.fail(coordinationAddress(SESSION, 'crd_2'));
  assert.equal([one.context().executions, one.context().coordinations], [[], []]);
});

test.run();
