import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clientAddress } from '../../machines/address.ts';
import type { Capability } from '../../machines/capability.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import {
  SESSION,
  body,
  createSession,
  executionState,
  facts,
  newMember,
  present,
  saidFrom,
  told,
} from '../support/session.ts';

const test = suite('session: leaving');

const SHARING: Partial<Capability> = { constraints: { may_share: true } };

test('what a client alone held ends as it leaves, with what descends from it; what runs goes on', () => {
  const one = createSession();
  one.register(newMember('2', 'bob', { constraints: { may_share: true, max_operations: 9 } }));
  one.share({ id: 'a', caller: one.as('cli_2') });
  one.join('shr_a', 'a');
  one.execute({ execution_id: 'exe_a', caller: one.as('cli_a') });
  one.execute({ execution_id: 'exe_2', caller: one.as('cli_2') });
  assert.equal(Object.keys(one.context().ledger.meters), ['cap_a', 'cap_2_0']);
  const from = one.ring.log.length;
  const audits = one.ring.audits.length;
  assert.equal(body(one.leave('cli_2', one.as('cli_2'))), { client_id: 'cli_2', status: 'left' });
  assert.equal(saidFrom(one, from), [
    'capability_revoked cap_2_0',
    'client_left cli_2',
    'cut cli_2',
    'client_left cli_a',
    'cut cli_a',
    'share_revoked shr_a',
  ]);
  assert.equal(told(one, 'capability_revoked'), [
    { capability_id: 'cap_2_0', revoked: ['cap_2_0', 'cap_a'], clients: ['cli_a'], cut: ['cli_a'], reason: 'left' },
  ]);
  assert.equal([executionState(one, 'exe_a'), executionState(one, 'exe_2')], ['running', 'running']);
  assert.equal([one.context().ledger.meters, one.context().shares, present(one)], [{}, {}, ['cli_1']]);
  // Nobody has revoked anything, but a share is no more.
  assert.equal(one.ring.audits.slice(audits), [
    { type: 'audit', audit: 'share_revoked', data: { share_id: 'shr_a', reason: 'left' } },
  ]);
  one.complete('exe_a');
  one.complete('exe_2');
  assert.equal([one.context().executions, one.context().ledger.meters], [[], {}]);
});

test('one of many who came by a share leaves the others theirs, and a leaver without heirs leaves no event', () => {
  const one = createSession();
  one.share({ id: 'a', ...SHARING });
  for (const id of ['x', 'y']) one.join('shr_a', id);
  one.share({ id: 'b', caller: one.as('cli_x') });
  one.join('shr_b', 'z');
  one.leave('cli_x');
  assert.equal(present(one), ['cli_1', 'cli_y', 'cli_z']);
  one.leave('cli_y');
  body(one.execute({ caller: one.as('cli_z') }));
  body(one.join('shr_a', 'w'));
  one.register(newMember('2', 'bob'));
  one.leave('cli_2');
  assert.equal(told(one, 'capability_revoked'), []);
});

test('a client whose actor is given up leaves nothing behind, whether or not the session sleeps', () => {
  for (const asleep of [false, true]) {
    const one = createSession();
    one.register(newMember('2', 'bob', SHARING));
    one.share({ id: 'a', caller: one.as('cli_2') });
    one.join('shr_a', 'a');
    if (asleep) one.ring.advance(SESSION_LIMITS.grace_ms);
    one.ring.fail(clientAddress(SESSION, 'cli_2'));
    assert.is(one.state(), asleep ? 'suspended' : 'active');
    assert.equal([present(one), one.context().shares], [['cli_1'], {}]);
    assert.equal(one.ring.cut, ['cli_2', 'cli_a']);
    assert.is(one.context().deadline === one.context().idle_at, true, 'no share is waited for');
  }
});

test('who has to go takes along what it alone held, as if it had left', () => {
  const one = createSession();
  const [read] = newMember('2', 'bob').capabilities as [Capability];
  const tools: Capability = {
    ...read,
    id: 'cap_tools',
    resource_type: 'mcp_tool',
    constraints: { may_share: true, max_operations: 5 },
  };
  one.register({ ...newMember('2', 'bob'), capabilities: [read, tools] });
  one.share({ id: 'a', caller: one.as('cli_2'), constraints: { may_share: true } });
  one.join('shr_a', 'a');
  one.share({ id: 'b', caller: one.as('cli_a') });
  one.join('shr_b', 'b');
  const tool = facts({ resource: 'mcp_tool' });
  one.execute({ execution_id: 'exe_b', caller: one.as('cli_b'), command: tool });
  const from = one.ring.log.length;
  assert.equal(body(one.revoke('cap_2_0'))['revoked'], ['cap_2_0']);
  assert.equal(saidFrom(one, from).slice(0, 2), ['capability_revoked cap_2_0', 'capability_revoked cap_tools']);
  const [, heirs] = told(one, 'capability_revoked');
  assert.equal([heirs?.['revoked'], heirs?.['reason']], [['cap_tools', 'cap_a', 'cap_b'], 'left']);
  assert.equal(
    [heirs?.['clients'], heirs?.['cut']],
    [
      ['cli_a', 'cli_b'],
      ['cli_a', 'cli_b'],
    ],
  );
  assert.equal([present(one), one.context().shares, one.context().ledger.meters], [['cli_1'], {}, {}]);
  assert.equal(one.ring.cut, ['cli_2', 'cli_a', 'cli_b']);
  assert.is(executionState(one, 'exe_b'), 'running', 'nobody has revoked what it runs under');
});

test.run();
