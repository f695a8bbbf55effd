import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { shareAddress } from '../../machines/address.ts';
import type { Capability } from '../../machines/capability.ts';
import { timestamp } from '../../machines/event.ts';
import type { ShareId } from '../../machines/id.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import {
  HASH,
  SESSION,
  SHARE_HASH,
  STRANGER,
  body,
  code,
  createSession,
  names,
  newMember,
  reason,
} from '../support/session.ts';
import type { TestSession } from '../support/session.ts';

const test = suite('session: shares');

const DAY = 86_400_000;
const SHARING: Partial<Capability> = { constraints: { may_share: true } };
const fields = (answer: ReturnType<TestSession['share']>): string[] =>
  answer.ok ? [] : (answer.problem.errors ?? []).map(({ field }) => field);
const statusOf = ({ ring }: TestSession, id: ShareId) => ring.actor(shareAddress(SESSION, id))?.standing().value;
/** A session with the client `cli_2` of bob, who may share. */
const withSharer = (more: Partial<Capability> = {}) => {
  const one = createSession();
  one.register(newMember('2', 'bob', { ...SHARING, ...more }));
  return one;
};

test('the owner’s key and the owner’s client share from the root, with the defaults of a share', () => {
  const one = createSession();
  for (const caller of [undefined, one.as('cli_1')]) {
    const answer = body(one.share(caller === undefined ? {} : { caller }));
    const share_id = answer['share_id'] as ShareId;
    const { id, parent_id, depth, principal, operations, scope, constraints } = answer['capability'] as Capability;
    assert.equal([parent_id, depth, principal, scope], ['cap_root', 1, `share:${share_id}`, ['*']]);
    assert.equal(operations, ['read', 'write', 'execute', 'list']);
    assert.equal(constraints, { max_operations: 100, expires_at: timestamp(one.ring.now + DAY) });
    assert.equal(answer, {
      share_id,
      capability: one.context().shares[share_id]?.capability,
      expires_at: timestamp(one.ring.now + DAY),
    });
    assert.is(statusOf(one, share_id), 'live');
    assert.ok(id.startsWith('cap_'));
  }
});

test('the root is shared as what it is asked for', () => {
  const one = createSession();
  const typeOf = (answer: ReturnType<TestSession['share']>) => (body(answer)['capability'] as Capability).resource_type;
  assert.is(typeOf(one.share({ resource_type: 'mcp_tool' })), 'mcp_tool');
  assert.is(typeOf(one.share({ resource_type: 'cli_operations' })), 'cli_operations');
  assert.is(typeOf(one.share()), 'api_operations');
});

test('a member shares only from a capability with may_share, the first in order of id that grants what is asked', () => {
  const one = createSession();
  const refused = () => reason(one.share({ caller: one.as('cli_2') }));
  one.register(newMember('2', 'bob'));
  assert.is(refused(), 'may_share');
  one.leave('cli_2');
  const [held] = newMember('3', 'bob').capabilities as [Capability];
  const capabilities: Capability[] = [
    { ...held, id: 'cap_c', ...SHARING },
    { ...held, id: 'cap_b', ...SHARING, operations: ['read'] },
    { ...held, id: 'cap_a' },
  ];
  one.register({ ...newMember('3', 'bob'), capabilities });
  const parentOf = (operations: Capability['operations']) =>
    (body(one.share({ caller: one.as('cli_3'), operations }))['capability'] as Capability).parent_id;
  assert.is(parentOf(['read']), 'cap_b');
  assert.is(parentOf(['write']), 'cap_c');
  assert.equal(fields(one.share({ caller: one.as('cli_3'), operations: ['list'] })), ['operations']);
  assert.is(reason(one.share({ caller: one.as('cli_3'), resource_type: 'mcp_tool' })), 'may_share');
});

test('nothing is shared from what is not yet, or no longer, good; who is not there shares nothing', () => {
  const one = createSession();
  const later = timestamp(one.ring.now + 10);
  one.register(newMember('2', 'bob', { constraints: { may_share: true, not_before: later } }));
  one.register(newMember('3', 'cyd', { constraints: { may_share: true, expires_at: later } }));
  const [bob, cyd] = [one.as('cli_2'), one.as('cli_3')];
  assert.equal([reason(one.share({ caller: bob })), code(one.share({ caller: cyd }))], ['may_share', 'ok']);
  // As where the deadline has come but has not been taken yet.
  one.ring.now += 10;
  assert.equal([code(one.share({ caller: bob })), reason(one.share({ caller: cyd }))], ['ok', 'may_share']);
  assert.is(code(one.share({ caller: STRANGER })), 'not_found');
  one.leave('cli_2');
  assert.is(code(one.share({ caller: bob })), 'unauthenticated');
});

test('the defaults stay within the parent, and what is asked for beyond it is refused with each field', () => {
  const one = withSharer();
  const { now } = one.ring;
  const bounds = { max_operations: 5, expires_at: timestamp(now + 60_000), max_risk: 'low', rate_limit: 9 } as const;
  one.register(
    newMember('3', 'cyd', { operations: ['read'], scope: ['chat'], constraints: { ...bounds, may_share: true } }),
  );
  const granted = body(one.share({ caller: one.as('cli_3') }))['capability'] as Capability;
  assert.equal(granted.constraints, bounds);
  const asked = {
    operations: ['read', 'write'] as Capability['operations'],
    scope: ['*'],
    resource_type: 'mcp_tool' as const,
    constraints: { max_operations: 6, expires_in: 61, max_risk: 'high' as const, rate_limit: 10 },
  };
  const { resource_type: _, ...same } = asked;
  const before = JSON.stringify([one.context().shares, one.context().ledger]);
  const answer = one.share({ caller: one.as('cli_3'), ...same });
  assert.is(code(answer), 'invalid_input');
  assert.equal(fields(answer).toSorted(), [
    'constraints.expires_in',
    'constraints.max_operations',
    'constraints.max_risk',
    'constraints.rate_limit',
    'operations',
    'scope',
  ]);
  assert.is(JSON.stringify([one.context().shares, one.context().ledger]), before);
  assert.equal(fields(one.share({ caller: one.as('cli_2'), constraints: { expires_in: 90_000 } })), []);
});

test('a share of a share of a share is the last', () => {
  const one = createSession();
  one.share({ id: 'a', ...SHARING });
  one.join('shr_a', 'a');
  for (const [parent, id] of [
    ['a', 'b'],
    ['b', 'c'],
  ] as const) {
    const shared = one.share({ id, caller: one.as(`cli_${parent}`), ...SHARING });
    assert.is((body(shared)['capability'] as Capability).parent_id, `cap_${parent}`);
    one.join(`shr_${id}`, id);
  }
  assert.is(one.context().shares['shr_c']?.capability.depth, 3);
  assert.is(reason(one.share({ caller: one.as('cli_c') })), 'depth');
  assert.is(Object.keys(one.context().shares).length, 3);
});

test('at most a hundred live shares', () => {
  const one = createSession();
  for (let n = 0; n < SESSION_LIMITS.shares; n += 1) body(one.share());
  assert.is(code(one.share()), 'conflict');
  one.unshare('shr_s7');
  assert.is(code(one.share({ id: 's8' })), 'conflict', 'it is there already');
  body(one.share());
  assert.is(code(one.share()), 'conflict');
  assert.is(Object.keys(one.context().shares).length, SESSION_LIMITS.shares);
});

test('the owner, and the client that made it, revoke a share; twice is a conflict', () => {
  const one = withSharer();
  one.register(newMember('3', 'bob', SHARING));
  one.share({ id: 'a', caller: one.as('cli_2') });
  one.share({ id: 'b', caller: one.as('cli_2') });
  one.share({ id: 'c' });
  assert.is(reason(one.unshare('shr_a', one.as('cli_3'))), 'owner', 'another client of the same principal');
  assert.is(reason(one.unshare('shr_c', one.as('cli_2'))), 'owner', 'it is not its own');
  assert.is(code(one.unshare('shr_a', STRANGER)), 'not_found');
  assert.equal(body(one.unshare('shr_a', one.as('cli_2'))), { share_id: 'shr_a', status: 'revoked' });
  assert.equal(body(one.unshare('shr_b')), { share_id: 'shr_b', status: 'revoked' });
  assert.equal(body(one.unshare('shr_c', one.as('cli_1'))), { share_id: 'shr_c', status: 'revoked' });
  for (const id of ['shr_a', 'shr_b', 'shr_c', 'shr_unheard_of'] as const) assert.is(code(one.unshare(id)), 'conflict');
  assert.is(code(one.unshare('shr_a', one.as('cli_2'))), 'conflict', 'for who has made it as well');
  assert.equal(one.context().shares, {});
});

test('what is made, used and revoked is told and recorded, in this order, and no hash of a token with it', () => {
  const one = withSharer();
  const from = one.ring.log.length;
  one.share({ id: 'a', caller: one.as('cli_2'), label: 'for Cyd' });
  one.join('shr_a', 'c', { principal: 'cyd' });
  one.unshare('shr_a');
  const said = one.ring.log
    .slice(from)
    .flatMap(({ effect }) =>
      effect.type === 'event' ? [effect.event] : effect.type === 'audit' ? [`audit ${effect.audit}`] : [],
    );
  assert.equal(said, [
    'audit share_created',
    'share_created',
    'audit client_joined',
    'client_joined',
    'capability_revoked',
    'audit capability_revoked',
    'audit share_revoked',
    'client_left',
    'share_revoked',
  ]);
  assert.equal(
    one.ring.audits.map(({ data }) => data),
    [
      { share_id: 'shr_a', label: 'for Cyd', capability_id: 'cap_a', parent_id: 'cap_2_0' },
      { share_id: 'shr_a', client_id: 'cli_c', type: 'web', principal: 'cyd' },
      { capability_ids: ['cap_a'] },
      { share_id: 'shr_a', reason: 'revoked' },
    ],
  );
  const created = one.ring.events.find(({ event }) => event === 'share_created');
  assert.is(created?.data['label'], 'for Cyd');
  assert.equal(created?.data['created_by'], { principal: 'bob', client_id: 'cli_2' });
  const out = one.ring.log.filter(({ effect }) => effect.type !== 'send');
  assert.not.ok(JSON.stringify(out).includes(SHARE_HASH));
  assert.not.ok(JSON.stringify(out).includes(HASH));
});

test('with its session a share ends in silence', () => {
  const one = createSession();
  one.share({ id: 'a' });
  one.join('shr_a', 'x');
  const from = one.ring.events.length;
  one.close();
  assert.equal(names(one.ring.events).slice(from), ['session_closed']);
  assert.is(statusOf(one, 'shr_a'), 'revoked');
  assert.equal(one.context().shares, {});
});

test.run();
