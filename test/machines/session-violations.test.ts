import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Caller } from '../../machines/message.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import { OWNER, SESSION, STRANGER, createSession, newMember } from '../support/session.ts';

const test = suite('session: violations');

const BOB: Caller = { principal: 'bob', client_id: 'cli_2' };
const withBob = () => {
  const one = createSession();
  one.register(newMember('2', 'bob'));
  return one;
};
const refused = { operation: 'events.list', reason: 'operation', count: 3 };
const recorded = { type: 'audit', audit: 'access_refused', data: refused };
const eventOf = (caller: Caller, subject: string) => ({
  type: 'event',
  event: 'security_violation',
  subject,
  data: { ...caller, ...refused },
  severity: 'warning',
});

test('a refusal inside the session is a fact for who reads it, and a record', () => {
  const one = withBob();
  const from = one.ring.log.length;
  one.violated(BOB, 3);
  one.violated(OWNER, 3);
  assert.equal(
    one.ring.log.slice(from).map(({ effect }) => effect),
    [recorded, eventOf(BOB, 'cli_2'), recorded, eventOf(OWNER, SESSION)],
  );
});

test('who is not, or no longer, in the session leaves no trace there', () => {
  const one = withBob();
  one.leave('cli_2');
  const from = one.ring.log.length;
  for (const caller of [STRANGER, BOB, { principal: 'eve', client_id: 'cli_1' } as const]) one.violated(caller);
  assert.is(one.ring.log.length, from);
});

test('it neither wakes the session nor prolongs its life', () => {
  const one = withBob();
  one.ring.advance(1_000);
  const active = one.context();
  one.violated(BOB);
  assert.equal(one.context(), active);
  one.ring.advance(SESSION_LIMITS.grace_ms);
  const suspended = one.context();
  one.violated(BOB);
  assert.is(one.state(), 'suspended');
  assert.equal(one.context(), suspended);
  assert.is(one.ring.audits.length, 2);
});

test('while the session drains it is told as well, and after its end no more', () => {
  const one = withBob();
  one.execute({ execution_id: 'exe_stuck', timeout_ms: 2 * SESSION_LIMITS.drain_ms });
  one.lose('exe_stuck');
  one.close();
  const from = one.ring.log.length;
  one.violated(BOB, 3);
  assert.equal(
    one.ring.log.slice(from).map(({ effect }) => effect),
    [recorded, eventOf(BOB, 'cli_2')],
  );
  one.ring.advance(SESSION_LIMITS.drain_ms);
  const over = one.ring.log.length;
  one.violated(BOB);
  assert.is(one.ring.log.length, over);
});

test.run();
