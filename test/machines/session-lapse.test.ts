import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sessionAddress, shareAddress } from '../../machines/address.ts';
import { timestamp } from '../../machines/event.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import {
  SESSION,
  TTL,
  code,
  createSession,
  executionState,
  names,
  newMember,
  present,
  saidFrom,
  told,
} from '../support/session.ts';
import type { TestSession } from '../support/session.ts';

const test = suite('session: lapse');

const { grace_ms } = SESSION_LIMITS;
/** A session whose share `a`, with the client `cli_a`, is over after so many seconds. */
const withShare = (expires_in: number) => {
  const one = createSession();
  one.share({ id: 'a', constraints: { expires_in, may_share: true } });
  one.join('shr_a', 'a');
  return one;
};
const wake = ({ ring }: TestSession) => ring.tell(sessionAddress(SESSION), { type: 'deadline' });

test('it waits for whatever comes first, and a lifetime that ends otherwise is waited for no more', () => {
  const one = createSession();
  const { now } = one.ring;
  const waits = () => [one.context().deadline, one.context().lapses_at].map((at) => (at === null ? null : at - now));
  assert.equal(waits(), [grace_ms, null]);
  one.share({ id: 'a', constraints: { expires_in: 90 } });
  assert.equal(waits(), [grace_ms, 90_000]);
  one.share({ id: 'b', constraints: { expires_in: 30 } });
  assert.equal(waits(), [30_000, 30_000]);
  one.register(newMember('2', 'bob', { constraints: { expires_at: timestamp(now + 20_000) } }));
  assert.equal(waits(), [20_000, 20_000]);
  one.leave('cli_2');
  assert.equal(waits(), [30_000, 30_000]);
  one.unshare('shr_b');
  assert.equal(waits(), [grace_ms, 90_000]);
  one.revoke('cap_a');
  assert.equal(waits(), [grace_ms, null]);
});

test('never early: at its time holders are cut with the reason, nobody else, and what runs goes on', () => {
  const one = withShare(10);
  one.share({ id: 'b', caller: one.as('cli_a') });
  one.join('shr_b', 'b');
  one.register(newMember('2', 'bob', { constraints: { expires_at: timestamp(one.ring.now + 10_001) } }));
  one.execute({ execution_id: 'exe_b', caller: one.as('cli_b') });
  const { last_active_at, idle_at } = one.context();
  const [from, audits] = [one.ring.log.length, one.ring.audits.length];
  one.ring.now += 9_999;
  wake(one);
  assert.equal(saidFrom(one, from), []);
  one.ring.advance(1);
  assert.equal(saidFrom(one, from), [
    'capability_revoked cap_a',
    'client_left cli_a',
    'cut cli_a',
    'client_left cli_b',
    'cut cli_b',
    'share_revoked shr_a',
    'share_revoked shr_b',
  ]);
  const [who, ended] = [
    ['cli_a', 'cli_b'],
    ['cap_a', 'cap_b'],
  ];
  assert.equal(told(one, 'capability_revoked'), [
    { capability_id: 'cap_a', revoked: ended, clients: who, cut: who, reason: 'expired' },
  ]);
  assert.equal(
    told(one, 'share_revoked').map(({ reason }) => reason),
    ['expired', 'expired'],
  );
  assert.is(one.ring.actor(shareAddress(SESSION, 'shr_b'))?.standing().value, 'expired');
  assert.is(one.ring.audits.length, audits, 'nobody has decided anything');
  assert.is(executionState(one, 'exe_b'), 'running');
  one.complete('exe_b');
  assert.is(executionState(one, 'exe_b'), 'completed');
  assert.equal(present(one), ['cli_1', 'cli_2']);
  assert.equal([one.context().last_active_at, one.context().idle_at], [last_active_at, idle_at], 'nobody did anything');
  assert.equal(one.context().ledger.meters, {});
});

test('what is over at the same moment is told by its origins, each with its own holders', () => {
  const one = createSession();
  const { now } = one.ring;
  for (const [id, principal] of Object.entries({ b: 'bob', c: 'cyd' }))
    one.register(newMember(id, principal, { constraints: { expires_at: timestamp(now + 5), may_share: true } }));
  one.share({ id: 'b', caller: one.as('cli_b') });
  one.join('shr_b', 'x');
  one.ring.advance(5);
  const heard = told(one, 'capability_revoked').map(({ capability_id, clients }) => [capability_id, clients]);
  assert.equal(heard, [
    ['cap_b_0', ['cli_b', 'cli_x']],
    ['cap_c_0', ['cli_c']],
  ]);
  assert.equal(present(one), ['cli_1']);
});

test('who keeps another capability to read is narrowed', () => {
  const one = createSession();
  const client = newMember('2', 'bob');
  const [held] = client.capabilities;
  const short = { ...held, id: 'cap_short', constraints: { expires_at: timestamp(one.ring.now + 5) } } as typeof held;
  one.register({ ...client, capabilities: [...client.capabilities, short] as typeof client.capabilities });
  one.ring.advance(5);
  assert.equal(one.context().clients['cli_2']?.capabilities, [held]);
  assert.equal([one.ring.cut, told(one, 'capability_revoked').map(({ cut }) => cut)], [[], [[]]]);
});

test('a lifetime and the grace time that end at the same moment both end', () => {
  const one = withShare(grace_ms / 1_000);
  const from = one.ring.log.length;
  one.ring.advance(grace_ms);
  const said = saidFrom(one, from);
  assert.equal([said[0], said[1]], ['capability_revoked cap_a', `session_suspended ${SESSION}`]);
  assert.ok(said.includes('cut cli_a'));
  assert.is(one.state(), 'suspended');
  assert.is(one.context().lapses_at, null);
  assert.is(one.context().deadline, (one.context().last_active_at ?? 0) + TTL);
});

test('a suspended session lets capabilities lapse, stays suspended, and still expires in time', () => {
  const one = withShare(3_600);
  one.ring.advance(grace_ms);
  assert.is(one.state(), 'suspended');
  const opened = one.context().last_active_at ?? 0;
  one.ring.advance(3_600_000 - grace_ms);
  assert.is(one.state(), 'suspended');
  assert.equal([one.ring.cut, one.context().shares], [['cli_a'], {}]);
  assert.is(code(one.join('shr_a', 'x')), 'unauthenticated');
  assert.is(one.context().deadline, opened + TTL);
  one.ring.advance(opened + TTL - one.ring.now);
  assert.is(one.state(), 'expired');
});

test('after a restart it lapses when it would have lapsed', () => {
  for (const [expires_in, state] of [
    [10, 'active'],
    [120, 'suspended'],
  ] as const) {
    const one = withShare(expires_in);
    one.ring.advance(expires_in * 1_000 - 1);
    one.ring.restore();
    assert.equal([one.state(), one.ring.cut], [state, []]);
    one.ring.advance(1);
    assert.equal([one.state(), one.ring.cut, one.context().shares], [state, ['cli_a'], {}]);
    // Nobody ran for a day, and nothing was taken meanwhile.
    const late = withShare(expires_in);
    late.ring.now += 86_400_000;
    late.ring.restore();
    late.ring.advance(0);
    assert.equal([late.state(), late.ring.cut], ['suspended', ['cli_a']]);
  }
});

test('where the last who was attached is cut, the grace time begins', () => {
  const one = withShare(10);
  one.attach('cli_a');
  one.ring.advance(10_000);
  assert.is(one.state(), 'active');
  one.ring.advance(grace_ms - 1);
  assert.is(one.state(), 'active');
  one.ring.advance(1);
  assert.is(one.state(), 'suspended');
  const other = withShare(10);
  for (const id of ['cli_1', 'cli_a'] as const) other.attach(id);
  other.ring.advance(10_000 + grace_ms);
  assert.is(other.state(), 'active', 'somebody else is attached');
});

test('where the session expires at the same moment its end tells it all', () => {
  const one = withShare(TTL / 1_000);
  one.ring.advance(grace_ms);
  const from = one.ring.log.length;
  one.ring.advance(TTL - grace_ms);
  assert.equal(saidFrom(one, from), [`session_expired ${SESSION}`, 'cut cli_1', 'cut cli_a']);
});

test('between its time and the deadline that tells it, a capability covers nothing and lets nobody in', () => {
  const one = withShare(10);
  one.ring.now += 10_000;
  const refused = one.execute({ caller: one.as('cli_a') });
  assert.ok(!refused.ok && refused.problem.reason === 'time');
  assert.is(code(one.join('shr_a', 'x')), 'unauthenticated');
  one.ring.advance(0);
  assert.equal(names(one.ring.events).filter((name) => name === 'share_revoked').length, 1);
});

test.run();
