import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clientAddress, executionAddress } from '../../machines/address.ts';
import type { Attenuation } from '../../machines/attenuate.ts';
import type { Capability } from '../../machines/capability.ts';
import { isTerminalEvent, timestamp } from '../../machines/event.ts';
import type { ClientId, ExecutionId, ShareId } from '../../machines/id.ts';
import type { Caller } from '../../machines/message.ts';
import { granted } from '../../machines/session-context.ts';
import { assertLaws, assertTold } from '../support/session-laws.ts';
import { OWNER, SESSION, STRANGER, TTL, createSession, names, newClient, newMember } from '../support/session.ts';
import type { TestSession } from '../support/session.ts';

const test = suite('session, its clients, shares and executions');

/** Whichever is there, by a number; mostly somebody of the session. */
const choice = fc.nat(11);
const pick = <T>(all: readonly T[], n: number): T | undefined => all[n % Math.max(1, all.length)];
const callers = fc.oneof(
  { weight: 4, arbitrary: fc.constant(OWNER) },
  fc.constant(STRANGER),
  fc.constant({ principal: 'bob', client_id: 'cli_1' } as Caller),
  { weight: 12, arbitrary: choice },
);
const callerOf = ({ context }: TestSession, who: Caller | number): Caller => {
  if (typeof who !== 'number') return who;
  const [client_id, client] = pick(Object.entries(context().clients), who) ?? [];
  return client === undefined ? OWNER : { principal: client.principal, client_id: client_id as ClientId };
};

const limits = fc.constantFrom<NonNullable<Attenuation['constraints']>>(
  {},
  { max_operations: 2 },
  { max_operations: 3 },
  { max_concurrent: 1 },
  { rate_limit: 2 },
  { expires_in: 20 },
  { expires_in: 100 },
  { not_before: timestamp(1_010_000) },
  { read_only: true },
  { require_webhook: true },
  { require_confirmations: 1 },
);
const asked: fc.Arbitrary<Attenuation> = fc
  .record({
    constraints: fc.tuple(limits, fc.constantFrom(true, true, true, false)),
    narrower: fc.constantFrom<Attenuation>(
      {},
      {},
      {},
      { operations: ['read'] },
      { operations: ['write', 'execute'] },
      { scope: ['chat'] },
    ),
  })
  .map(({ constraints: [limit, may_share], narrower }) => ({ ...narrower, constraints: { ...limit, may_share } }));

const weighing = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ weight, arbitrary });
const does = <Do extends string>(what: Do) => fc.constant(what);
const actions = fc.oneof(
  weighing(
    12,
    fc.record({
      do: does('execute'),
      caller: callers,
      reserved: fc.boolean(),
      unattended: fc.boolean(),
      key: fc.constantFrom(null, null, null, 'a', 'b'),
      body: fc.constantFrom('x', 'x', 'y'),
    }),
  ),
  weighing(
    3,
    fc.record({ do: does('register'), caller: callers, as: fc.constantFrom('cli', 'web', 'sharer', 'tools', 'tools') }),
  ),
  weighing(1, fc.record({ do: does('leave'), caller: callers, n: choice })),
  weighing(2, fc.record({ do: does('cancel'), caller: callers, n: choice })),
  weighing(7, fc.record({ do: does('share'), caller: callers, asked })),
  weighing(1, fc.record({ do: does('unshare'), caller: callers, n: choice })),
  weighing(
    7,
    fc.record({ do: does('join'), n: choice, principal: fc.constantFrom(undefined, undefined, 'bob', 'ada') }),
  ),
  weighing(2, fc.record({ do: does('revoke'), caller: callers, n: choice })),
  weighing(1, fc.record({ do: does('violated'), caller: callers })),
  weighing(1, fc.record({ do: does('fail'), kind: fc.constantFrom('client', 'execution'), n: choice })),
  weighing(
    4,
    fc.record({
      do: does('presence'),
      n: choice,
      type: fc.constantFrom('client.attach', 'client.attach', 'client.detach', 'client.leave'),
    }),
  ),
  weighing(
    6,
    fc.record({
      do: does('agent'),
      n: choice,
      type: fc.constantFrom('execution.start', 'execution.complete', 'execution.complete', 'execution.fail'),
      start: fc.constantFrom(1, 1, 1, 2),
    }),
  ),
  weighing(4, fc.record({ do: does('wait'), ms: fc.constantFrom(100, 1_000, 10_000, 20_000, 60_000, 200_000) })),
  weighing(1, fc.record({ do: does('restore') })),
);
const history = fc.array(
  fc.oneof(
    weighing(150, actions),
    weighing(1, fc.constant({ do: 'close' as const, caller: OWNER })),
    weighing(1, fc.constant({ do: 'wait' as const, ms: TTL })),
  ),
  { maxLength: 80, size: 'max' },
);
type Action = typeof history extends fc.Arbitrary<(infer One)[]> ? One : never;

/** What was accepted under which key. */
const createKeys = () => {
  const known = new Map<string, { body: string; execution_id: unknown }>();
  return {
    check: ({ principal }: Caller, key: string | null, body: string, answer: ReturnType<TestSession['execute']>) => {
      if (key === null || !answer.ok) return;
      const before = known.get(`${principal} ${key}`);
      const { execution_id } = answer.body;
      assert.is(answer.body['replayed'] === true, before !== undefined, 'a known key is replayed');
      assert.equal(before ?? { body, execution_id }, { body, execution_id });
      known.set(`${principal} ${key}`, { body, execution_id });
    },
  };
};

/** Does what the action says; each request is answered once, or the ring throws. */
const perform = (one: TestSession, step: Action, keys: ReturnType<typeof createKeys>, drawn: string): void => {
  const { ring } = one;
  /** One that is live, now and then one that is over; one that never was where there is none. */
  const anyOf = (kind: string, n: number): string => {
    const all = [...ring.actors].filter(([key]) => key.includes(`/${kind}/`));
    const [key] = pick(n % 4 === 0 ? all : all.filter(([, actor]) => !actor.done()), n) ?? [];
    return key?.split('/')[2] ?? `${kind.slice(0, 3)}_none`;
  };
  const caller = 'caller' in step ? callerOf(one, step.caller) : OWNER;
  switch (step.do) {
    case 'execute': {
      const accepted = one.context().counts.accepted;
      const idempotency = step.key === null ? null : { key: step.key, body_hash: step.body };
      const answer = one.execute({ caller, reserved: step.reserved, unattended: step.unattended, idempotency });
      keys.check(caller, step.key, step.body, answer);
      const isNew = answer.ok && answer.body['replayed'] !== true;
      assert.is(one.context().counts.accepted - accepted, isNew ? 1 : 0);
      if (caller === STRANGER) assert.not(answer.ok);
      return;
    }
    case 'register': {
      const sharer = newMember(drawn, 'bob', { constraints: { may_share: true, max_operations: 4 } });
      const [held] = sharer.capabilities as [Capability];
      // Reads by one, shares the other.
      const read = { ...held, id: `cap_${drawn}_r`, constraints: {} };
      const tools = { ...sharer, capabilities: [read, { ...held, resource_type: 'mcp_tool' as const }] };
      const client = { sharer, tools, cli: newClient(drawn, 'cli', 'bob'), web: newClient(drawn, 'web', 'bob') };
      return void one.register(client[step.as], caller);
    }
    case 'leave':
      return void one.leave(anyOf('client', step.n) as ClientId, caller);
    case 'cancel':
      return void one.cancel(anyOf('execution', step.n) as ExecutionId, caller);
    case 'share':
      return void one.share({ caller, ...step.asked });
    case 'unshare':
      return void one.unshare(anyOf('share', step.n) as ShareId, caller);
    case 'join':
      return void one.join(
        anyOf('share', step.n) as ShareId,
        drawn,
        step.principal ? { principal: step.principal } : {},
      );
    case 'revoke': {
      const ids = [...granted(one.context()).map(({ id }) => id), 'cap_root', 'cap_none'];
      return void one.revoke(pick(ids, step.n) ?? 'cap_none', caller);
    }
    case 'violated':
      return one.violated(caller);
    case 'fail':
      return ring.fail(
        step.kind === 'client'
          ? clientAddress(SESSION, anyOf('client', step.n))
          : executionAddress(SESSION, anyOf('execution', step.n)),
      );
    case 'presence':
      return ring.tell(clientAddress(SESSION, anyOf('client', step.n)), { type: step.type });
    case 'agent': {
      const problem = { code: 'handler_crashed', detail: '' };
      const said = { type: step.type, start: step.start, result: 1, artifacts: [], retryable: true, problem };
      return one.agent(anyOf('execution', step.n) as ExecutionId, said);
    }
    case 'wait':
      return ring.advance(step.ms);
    case 'restore':
      return ring.restore();
    case 'close':
      return void one.close(caller);
  }
};

test('whatever is asked in whatever order: one answer each, the laws of a session hold, one end, nothing after it', () => {
  fc.assert(
    fc.property(history, (steps) => {
      const one = createSession();
      const { events } = one.ring;
      const keys = createKeys();
      for (const [index, step] of steps.entries()) {
        const [wasOver, before] = [one.isOver(), events.length];
        perform(one, step, keys, `d${index}`);
        assertLaws(one);
        if (wasOver) assert.is(events.length, before, 'nothing after the end');
      }
      assertTold(one.ring);
      const ends = names(events).filter((name) => name === 'session_closed' || name === 'session_expired');
      assert.is(ends.length, one.isOver() ? 1 : 0);
      const started = [...one.ring.actors].filter(([key]) => key.includes('/execution/'));
      const over = started.filter(([, actor]) => actor.done()).length;
      assert.is(names(events).filter(isTerminalEvent).length, over, 'one terminal event each');
    }),
    { numRuns: 400 },
  );
});

test.run();
