import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { executionAddress } from '../../machines/address.ts';
import type { Capability } from '../../machines/capability.ts';
import type { Answer } from '../../machines/effect.ts';
import { timestamp } from '../../machines/event.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { NewClient } from '../../machines/message.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import { SESSION, body, code, createSession, facts, newMember, reason } from '../support/session.ts';
import type { TestSession } from '../support/session.ts';

const test = suite('session: decision');

type Execute = Parameters<TestSession['execute']>[0];

/** One thing that may stand against a call: in the capability, in the message, or in both. */
interface Obstacle {
  readonly said: string;
  readonly capability?: (capability: Capability, now: number) => Partial<Capability>;
  readonly message?: Execute;
}

const constrained =
  (more: (now: number) => Capability['constraints']) =>
  ({ constraints }: Capability, now: number): Partial<Capability> => ({
    constraints: { ...constraints, ...more(now) },
  });

/** In the order of the contract, section 6. */
const OBSTACLES: readonly Obstacle[] = [
  { said: 'unauthenticated', message: { caller: { principal: 'eve', client_id: 'cli_x' } } },
  { said: 'resource_type', capability: () => ({ resource_type: 'mcp_tool' }) },
  { said: 'operation', capability: constrained(() => ({ read_only: true })) },
  { said: 'scope', capability: () => ({ scope: ['chat'] }) },
  { said: 'time', capability: constrained((now) => ({ expires_at: timestamp(now) })) },
  { said: 'risk', capability: constrained(() => ({ max_risk: 'minimal' })) },
  { said: 'conflict', message: { idempotency: { key: 'known', body_hash: 'another' } } },
  { said: 'replayed', message: { idempotency: { key: 'known', body_hash: 'same' } } },
  {
    said: 'webhook_required',
    capability: constrained(() => ({ require_webhook: true })),
    message: { unattended: true },
  },
  { said: 'overloaded', message: { reserved: false } },
  { said: 'exhausted', capability: () => ({ parent_id: 'cap_spent' }) },
];

const said = (answer: Answer): string => {
  if (answer.ok) return answer.body['replayed'] === true ? 'replayed' : 'accepted';
  return answer.problem.reason ?? answer.problem.code;
};

/** A session whose queue is full, in which the budget of `cap_spent` is used up and bob has used the key `known`. */
const crowded = () => {
  const one = createSession();
  one.share({ id: 'spent', constraints: { max_operations: 1 } });
  one.join('shr_spent', 's');
  body(one.execute({ caller: one.as('cli_s') }));
  one.register(newMember('bob', 'bob'));
  body(one.execute({ caller: one.as('cli_bob'), idempotency: { key: 'known', body_hash: 'same' } }));
  for (let n = 0; n < SESSION_LIMITS.queued; n += 1) one.execute({ reserved: false });
  return one;
};

test('whatever stands against a call, the first in the contract’s order is what is said, and nothing is charged', () => {
  const one = crowded();
  const calling = (id: string, against: readonly Obstacle[]): Answer => {
    const member = newMember(id, 'bob', { constraints: { max_operations: 1 } });
    let [capability] = member.capabilities as [Capability];
    for (const { capability: hinder } of against) capability = { ...capability, ...hinder?.(capability, one.ring.now) };
    one.register({ ...member, capabilities: [capability] });
    const command = facts({ operation: 'write', risk: 'low' });
    const message: Execute = Object.assign(
      { caller: one.as(`cli_${id}`), command },
      ...against.map((each) => each.message ?? {}),
    );
    const before = one.context();
    const answer = one.execute(message);
    const after = one.context();
    if (said(answer) !== 'accepted')
      assert.equal(
        [after.ledger, after.counts, after.executions.length],
        [before.ledger, before.counts, before.executions.length],
      );
    one.leave(`cli_${id}`);
    return answer;
  };
  assert.is(said(calling('free', [])), 'accepted');
  for (const [index, first] of OBSTACLES.entries()) {
    assert.is(said(calling(`only${index}`, [first])), first.said);
    for (const [offset, second] of OBSTACLES.slice(index + 1).entries()) {
      // Nobody sends two keys at once.
      if (first.said === 'conflict' && second.said === 'replayed') continue;
      const answer = calling(`pair${index}x${offset}`, [first, second]);
      assert.is(said(answer), first.said, `${first.said} before ${second.said}`);
    }
  }
});

/** Bob with these capabilities, in any order; all are `api_operations` for everything. */
const bobWith = (...held: Partial<Capability>[]) => {
  const one = createSession();
  const client: NewClient = newMember('2', 'bob');
  const [plain] = client.capabilities as [Capability];
  one.register({ ...client, capabilities: held.map((more, n) => ({ ...plain, id: `cap_2_${n}`, ...more })) });
  let n = 0;
  /** Under which capability it was accepted, or why it was not. */
  const under = (more: Execute = {}): string | undefined => {
    n += 1;
    const answer = one.execute({ execution_id: `exe_b${n}`, caller: one.as('cli_2'), ...more });
    if (!answer.ok) return reason(answer) ?? code(answer);
    const actor = one.ring.actor(executionAddress(SESSION, `exe_b${n}`));
    return (actor?.standing().context as ExecutionContext | undefined)?.capability_id;
  };
  return { one, under };
};

test('what needs a webhook is passed over for the next that covers it; where none does, it is asked for', () => {
  const { under } = bobWith(
    { id: 'cap_b', constraints: {} },
    { id: 'cap_a', constraints: { require_webhook: true } },
    { id: 'cap_c', operations: ['read'], constraints: {} },
  );
  assert.equal([under(), under({ unattended: true })], ['cap_a', 'cap_b']);
  const { under: only } = bobWith({ constraints: { require_webhook: true } });
  assert.equal([only(), only({ unattended: true }), only()], ['cap_2_0', 'webhook_required', 'cap_2_0']);
  const { under: never } = bobWith({ constraints: { require_webhook: false } });
  assert.is(never({ unattended: true }), 'cap_2_0');
});

test('what needs confirmations is accepted and charged, and asks a question first', () => {
  const { one, under } = bobWith({ constraints: { require_confirmations: 2, max_operations: 1 } });
  assert.is(under({ reserved: true }), 'cap_2_0');
  const { executions, coordinations, counts } = one.context();
  assert.equal([executions.length, counts.queued, coordinations.length], [1, 0, 1]);
  assert.is(under(), 'exhausted');
});

test('the first with room is used, the next where its limits or those above it are reached', () => {
  const { one, under } = bobWith(
    { constraints: { max_operations: 1 } },
    { parent_id: 'cap_a', depth: 2 },
    { constraints: { max_concurrent: 1 } },
  );
  one.share({ id: 'a', constraints: { max_operations: 1 } });
  assert.equal([under(), under(), under(), under()], ['cap_2_0', 'cap_2_1', 'cap_2_2', 'concurrent']);
  one.complete('exe_b3');
  assert.equal([under(), under()], ['cap_2_2', 'concurrent'], 'what frees soonest is what is said');
});

test('a lifetime begins with not_before and is over at expires_at, to the millisecond', () => {
  const { one, under } = bobWith({
    constraints: { not_before: timestamp(1_000_010), expires_at: timestamp(1_000_020) },
  });
  const at = (now: number) => {
    one.ring.now = now;
    return under();
  };
  assert.is(one.ring.now, 1_000_000);
  assert.equal([1_000_009, 1_000_010, 1_000_019, 1_000_020].map(at), ['time', 'cap_2_0', 'cap_2_0', 'time']);
});

test('a command of a risk above max_risk is refused, one of the same risk is not', () => {
  const { under } = bobWith({ constraints: { max_risk: 'medium' } });
  const risky = (risk: 'low' | 'medium' | 'high') => under({ command: facts({ risk }) });
  assert.equal([risky('low'), risky('medium'), risky('high')], ['cap_2_0', 'cap_2_0', 'risk']);
});

test('what read_only forbids is no reason against what another capability allows', () => {
  const { under } = bobWith({ constraints: { read_only: true } }, { operations: ['write'], scope: ['analyze'] });
  const of = (operation: 'read' | 'write' | 'execute') => under({ command: facts({ operation }) });
  assert.equal([of('read'), of('write'), of('execute')], ['cap_2_0', 'cap_2_1', 'operation']);
  const chat = under({ command: facts({ operation: 'write', name: 'chat' }) });
  assert.is(chat, 'scope', 'the one that came farthest');
});

test('a decision of high risk is recorded with its acceptance, before what it lets out', () => {
  const { one, under } = bobWith({ constraints: {} });
  const from = one.ring.log.length;
  under({ command: facts({ risk: 'high', audit: true, name: 'export' }) });
  const [record, ...others] = one.ring.log.slice(from).map(({ effect }) => effect);
  const data = { execution_id: 'exe_b1', command: 'export', risk: 'high', capability_id: 'cap_2_0' };
  assert.equal(record, { type: 'audit', audit: 'command_accepted', data });
  assert.not(others.some(({ type }) => type === 'audit'));
  under();
  assert.is(one.ring.audits.length, 1);
});

test.run();
