import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { coordinationAddress } from '../../machines/address.ts';
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
  const { one, ask, vote } = create();
  one.register(newMember('r', 'rob', { operations: ['read'] }));
  assert.is(reason(ask({}, one.as('cli_r'))), 'operation');
  body(ask());
  assert.is(reason(vote('crd_2', one.as('cli_r'))), 'operation');
  assert.is(code(vote('crd_2', { principal: 'eve', client_id: 'cli_x' })), 'unauthenticated');
  assert.is(code(vote('crd_9', one.as('cli_b'))), 'already_decided');
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
