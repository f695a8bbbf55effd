import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clientAddress, shareAddress } from '../../machines/address.ts';
import type { Capability } from '../../machines/capability.ts';
import type { ClientContext } from '../../machines/client.ts';
import type { ClientId } from '../../machines/id.ts';
import { session } from '../../machines/session.ts';
import type { SessionContext } from '../../machines/session.ts';
import { createDriver } from '../support/machine.ts';
import {
  OWNER,
  SESSION,
  STRANGER,
  TTL,
  body,
  code,
  createSession,
  executionState,
  facts,
  newClient,
  newMember,
  present,
  reason,
  saidFrom,
  told,
} from '../support/session.ts';
import type { TestSession } from '../support/session.ts';

const test = suite('session: revocation');

const SHARING: Partial<Capability> = { constraints: { may_share: true } };
const held = (client: ClientContext | undefined) => client?.capabilities.map(({ id }) => id);
const actorOf = ({ ring }: TestSession, id: ClientId) => {
  const { value, context } = ring.actor(clientAddress(SESSION, id))?.standing() ?? {};
  return { value, held: held(context as ClientContext) };
};
/** The owner shares `a`, who comes by it shares `b` and `c`, and the owner shares `d`; a client comes by each. */
const family = () => {
  const one = createSession();
  one.share({ id: 'a', ...SHARING });
  one.join('shr_a', 'a');
  for (const id of ['b', 'c']) one.share({ id, caller: one.as('cli_a') });
  one.share({ id: 'd' });
  for (const id of ['b', 'c', 'd']) one.join(`shr_${id}`, id);
  return one;
};

test('a capability is revoked with all that descend from it, and all is said before anybody is cut', () => {
  const one = family();
  const from = one.ring.log.length;
  const answer = body(one.revoke('cap_a'));
  assert.equal(answer, { capability_id: 'cap_a', revoked: ['cap_a', 'cap_b', 'cap_c'] });
  assert.equal(saidFrom(one, from), [
    'capability_revoked cap_a',
    'client_left cli_a',
    'cut cli_a',
    'client_left cli_b',
    'cut cli_b',
    'client_left cli_c',
    'cut cli_c',
    'share_revoked shr_a',
    'share_revoked shr_b',
    'share_revoked shr_c',
  ]);
  assert.equal(told(one, 'capability_revoked'), [
    { ...answer, clients: ['cli_a', 'cli_b', 'cli_c'], cut: ['cli_a', 'cli_b', 'cli_c'], reason: 'revoked' },
  ]);
  for (const data of told(one, 'client_left')) assert.is(data['reason'], 'revoked');
  for (const data of told(one, 'share_revoked')) assert.is(data['reason'], 'revoked');
  assert.equal(one.ring.audits.slice(-4), [
    { type: 'audit', audit: 'capability_revoked', data: { capability_ids: ['cap_a', 'cap_b', 'cap_c'] } },
    ...['shr_a', 'shr_b', 'shr_c'].map((share_id) => ({
      type: 'audit',
      audit: 'share_revoked',
      data: { share_id, reason: 'revoked' },
    })),
  ]);
  assert.equal(present(one), ['cli_1', 'cli_d']);
  assert.equal(Object.keys(one.context().shares), ['shr_d']);
  assert.equal(actorOf(one, 'cli_b'), { value: 'left', held: [] });
  assert.is(one.ring.actor(shareAddress(SESSION, 'shr_c'))?.standing().value, 'revoked');
});

test('what is below the one that is revoked ends, what is beside and above stays', () => {
  const one = family();
  assert.equal(body(one.unshare('shr_b', one.as('cli_a'))), { share_id: 'shr_b', status: 'revoked' });
  assert.equal(present(one), ['cli_1', 'cli_a', 'cli_c', 'cli_d']);
  assert.equal(Object.keys(one.context().shares), ['shr_a', 'shr_c', 'shr_d']);
});

test('who keeps a capability to read stays with what is left, who keeps none goes', () => {
  const one = createSession();
  const [wide] = newMember('2', 'bob').capabilities as [Capability];
  const hold = (id: string, ...more: Partial<Capability>[]) =>
    one.register({
      ...newClient(id),
      capabilities: more.map((each, n) => ({ ...wide, id: `cap_${id}${n}`, ...each })),
    });
  hold('a', {}, {});
  hold('b', {}, { resource_type: 'mcp_tool' });
  hold('c', { operations: ['write'] }, { operations: ['execute'] });
  hold('d', {}, { operations: ['write'] });
  hold('e', {}, { constraints: { not_before: '2030-01-01T00:00:00.000Z' } });
  one.revoke('cap_a0');
  assert.equal(actorOf(one, 'cli_a'), { value: 'attaching', held: ['cap_a1'] });
  one.revoke('cap_b1');
  assert.equal(actorOf(one, 'cli_b'), { value: 'attaching', held: ['cap_b0'] });
  one.revoke('cap_c0');
  assert.equal(actorOf(one, 'cli_c'), { value: 'attaching', held: ['cap_c1'] }, 'it never could read');
  one.revoke('cap_e0');
  assert.equal(actorOf(one, 'cli_e'), { value: 'attaching', held: ['cap_e1'] }, 'it may read later');
  assert.equal([one.ring.cut, told(one, 'client_left')], [[], []]);
  const said = told(one, 'capability_revoked').map(({ clients, cut }) => [clients, cut]);
  assert.equal(said, [
    [['cli_a'], []],
    [['cli_b'], []],
    [['cli_c'], []],
    [['cli_e'], []],
  ]);
  one.revoke('cap_b0');
  one.revoke('cap_c1');
  one.revoke('cap_d0');
  assert.equal(one.ring.cut, ['cli_b', 'cli_c', 'cli_d']);
  assert.equal(present(one), ['cli_1', 'cli_a', 'cli_e']);
  for (const id of ['cli_a', 'cli_e'] as const)
    assert.equal(
      one.context().clients[id]?.capabilities.map((each) => each.id),
      actorOf(one, id).held,
    );
});

test('what was accepted under it or below it is cancelled, queued or running; all else goes on', () => {
  const one = family();
  one.execute({ execution_id: 'exe_own' });
  for (const id of ['a', 'b', 'd'] as const) {
    const caller = one.as(`cli_${id}`);
    one.execute({ execution_id: `exe_${id}`, caller });
    one.execute({ execution_id: `exe_${id}q`, caller, reserved: false });
  }
  one.revoke('cap_a');
  const ended = ['exe_a', 'exe_aq', 'exe_b', 'exe_bq'] as const;
  for (const id of ended) assert.is(executionState(one, id), 'cancelled', id);
  assert.equal(
    one.context().executions.map(({ id }) => id),
    ['exe_own', 'exe_d', 'exe_dq'],
  );
  assert.is(one.context().counts.queued, 1);
  const stopped = one.ring.log.flatMap(({ effect }) => (effect.type === 'stop' ? [effect.execution_id] : []));
  assert.equal(stopped, ended);
  for (const data of told(one, 'execution_cancelled'))
    assert.equal([data['cancelled_by'], data['reason']], [null, 'revoked']);
});

test('what was accepted below it is cancelled also where that has expired since', () => {
  const one = createSession();
  one.share({ id: 'a', ...SHARING });
  one.join('shr_a', 'a');
  one.share({ id: 'b', caller: one.as('cli_a'), constraints: { expires_in: 1 } });
  one.join('shr_b', 'b');
  one.execute({ execution_id: 'exe_b', caller: one.as('cli_b') });
  one.ring.advance(1_000);
  assert.equal([present(one), executionState(one, 'exe_b')], [['cli_1', 'cli_a'], 'running']);
  one.revoke('cap_a');
  assert.is(executionState(one, 'exe_b'), 'cancelled');
});

test('what was accepted below it is cancelled also where it has no limits of its own', () => {
  const one = createSession();
  one.register(newMember('2', 'bob', SHARING));
  one.share({ id: 'a', caller: one.as('cli_2') });
  one.join('shr_a', 'a');
  one.execute({ execution_id: 'exe_a', caller: one.as('cli_a') });
  one.execute({ execution_id: 'exe_2', caller: one.as('cli_2') });
  one.revoke('cap_2_0');
  assert.equal([executionState(one, 'exe_a'), executionState(one, 'exe_2')], ['cancelled', 'cancelled']);
});

test('who is out has no credentials for anything any more', () => {
  const one = family();
  const caller = one.as('cli_b');
  one.execute({ execution_id: 'exe_b', caller, idempotency: { key: 'k', body_hash: 'h' } });
  one.unshare('shr_b');
  const asked = [
    one.execute({ caller }),
    one.execute({ caller, idempotency: { key: 'k', body_hash: 'h' } }),
    one.cancel('exe_b', caller),
    one.share({ caller }),
    one.unshare('shr_a', caller),
    one.revoke('cap_a', caller),
    one.leave('cli_b', caller),
    one.close(caller),
    one.join('shr_b', 'z'),
  ];
  for (const answer of asked) assert.is(code(answer), 'unauthenticated');
  const from = one.ring.log.length;
  one.attach('cli_b');
  assert.is(one.ring.log.length, from, 'its own actor has ended as well');
});

test('a message that waits behind the revocation is refused, before its sender’s own actor has heard of it', () => {
  const one = createDriver<SessionContext>(session);
  const takes = (type: string, more: object) => one.take({ type, at: 5, random: 0, ...more } as { type: string });
  const bob = { principal: 'bob', client_id: 'cli_2' };
  const root = { session_id: SESSION, owner: 'ada', root_capability_id: 'cap_root', ttl_ms: TTL };
  takes('session.open', { ...root, client: newClient('1') });
  takes('session.register', { caller: OWNER, client: newMember('2', 'bob', SHARING) });
  takes('session.revoke', { caller: OWNER, capability_id: 'cap_2_0' });
  const share = { share_id: 'shr_1', capability_id: 'cap_s', token_hash: '', label: null, asked: {} };
  const execute = { execution_id: 'exe_1', command: facts(), args: {}, timeout_ms: 1, priority: 0, reserved: true };
  const behind: [string, object][] = [
    ['session.execute', { ...execute, unattended: false, idempotency: null }],
    ['session.share', { share }],
    ['session.cancel', { execution_id: 'exe_1' }],
  ];
  for (const [type, more] of behind) {
    const effects = takes(type, { caller: bob, ...more });
    assert.is(effects.length, 1);
    const [effect] = effects;
    assert.ok(effect?.type === 'reply' && !effect.answer.ok && effect.answer.problem.code === 'unauthenticated', type);
  }
  assert.equal(takes('session.violated', { caller: bob, operation: 'events.list', reason: 'time', count: 1 }), []);
});

test('the root is not revoked, nothing is revoked twice, and only the owner revokes capabilities', () => {
  const one = family();
  const before = one.context();
  const root = one.revoke('cap_root');
  assert.ok(!root.ok && root.problem.code === 'conflict' && /root/.test(root.problem.detail));
  assert.is(code(one.revoke('cap_unheard_of')), 'conflict');
  assert.is(reason(one.revoke('cap_b', one.as('cli_b'))), 'owner', 'not even its holder');
  assert.is(reason(one.revoke('cap_b', one.as('cli_a'))), 'owner', 'not even who has made it');
  assert.is(code(one.revoke('cap_b', STRANGER)), 'not_found');
  assert.equal([one.context().clients, one.context().shares], [before.clients, before.shares]);
  body(one.revoke('cap_b', one.as('cli_1')));
  assert.is(code(one.revoke('cap_b')), 'conflict');
  assert.is(code(one.unshare('shr_b')), 'conflict');
  body(one.unshare('shr_a'));
  assert.is(code(one.revoke('cap_c')), 'conflict', 'it went with what it descends from');
});

test('the owner’s client can lose its capabilities as well, and what the owner shared from the root stays', () => {
  const one = createSession();
  one.share({ id: 'a', caller: one.as('cli_1') });
  one.join('shr_a', 'a');
  assert.equal(body(one.revoke('cap_1_0', one.as('cli_1')))['revoked'], ['cap_1_0']);
  assert.equal([present(one), one.ring.cut], [['cli_a'], ['cli_1']]);
  body(one.execute({ caller: one.as('cli_a') }));
});

test.run();
