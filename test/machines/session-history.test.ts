import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  clientAddress,
  coordinationAddress,
  deliveryAddress,
  executionAddress,
  webhookAddress,
} from '../../machines/address.ts';
import type { Attenuation } from '../../machines/attenuate.ts';
import type { Capability } from '../../machines/capability.ts';
import type { CoordinationContext } from '../../machines/coordination.ts';
import type { DeliveryContext } from '../../machines/delivery.ts';
import type { Answer } from '../../machines/effect.ts';
import { isTerminalEvent, timestamp } from '../../machines/event.ts';
import type { ClientId, CoordinationId, ExecutionId, ShareId } from '../../machines/id.ts';
import type { Caller } from '../../machines/message.ts';
import { questionSchema } from '../../machines/question-schema.ts';
import type { Question, Rules } from '../../machines/question.ts';
import { granted } from '../../machines/session-context.ts';
import { assertOutcomes, assertQuestions } from '../support/question-laws.ts';
import { assertLaws, assertTold } from '../support/session-laws.ts';
import {
  OWNER,
  SESSION,
  STRANGER,
  TTL,
  createSession,
  facts,
  names,
  newClient,
  newMember,
} from '../support/session.ts';
import type { TestSession } from '../support/session.ts';
import { createWebhookLaws } from '../support/webhook-laws.ts';

const test = suite('session, its clients, shares, executions, questions and webhooks');

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
const narrowed: fc.Arbitrary<Attenuation> = fc
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

const question = (rules: Partial<Rules>): Question =>
  questionSchema.parse({ operation: 'deploy', description: 'Now?', ...rules });
const rules = fc.constantFrom<Partial<Rules>>(
  {},
  {},
  { required_confirmations: 2 },
  { required_confirmations: 2, distinct: 'client' },
  { requester_may_vote: true, required_confirmations: 2 },
  { veto: true, required_confirmations: 2 },
  { max_rejections: 2, timeout: 30, on_timeout: 'rejected' },
  { voters: ['bob', 'cli_1'], timeout: 5 },
);

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
      gate: fc.oneof(weighing(4, fc.constant(null)), weighing(1, rules)),
    }),
  ),
  weighing(4, fc.record({ do: does('ask'), caller: callers, rules })),
  weighing(
    12,
    fc.record({ do: does('vote'), caller: callers, n: choice, vote: fc.constantFrom('confirm', 'confirm', 'reject') }),
  ),
  weighing(1, fc.record({ do: does('retract'), caller: callers, n: choice })),
  weighing(3, fc.record({ do: does('confirm'), n: choice, suspended: fc.boolean(), rules })),
  weighing(
    2,
    fc.record({
      do: does('webhook'),
      caller: callers,
      types: fc.constantFrom(
        null,
        ['client_joined', 'webhook_dead'],
        ['execution_completed', 'coordination_confirmed'],
      ),
    }),
  ),
  weighing(1, fc.record({ do: does('unhook'), n: choice })),
  weighing(6, fc.record({ do: does('attempted'), n: choice, ok: fc.boolean(), final: fc.boolean() })),
  weighing(
    3,
    fc.record({ do: does('register'), caller: callers, as: fc.constantFrom('cli', 'web', 'sharer', 'tools', 'tools') }),
  ),
  weighing(1, fc.record({ do: does('leave'), caller: callers, n: choice })),
  weighing(2, fc.record({ do: does('cancel'), caller: callers, n: choice })),
  weighing(7, fc.record({ do: does('share'), caller: callers, asked: narrowed })),
  weighing(1, fc.record({ do: does('unshare'), caller: callers, n: choice })),
  weighing(
    7,
    fc.record({ do: does('join'), n: choice, principal: fc.constantFrom(undefined, undefined, 'bob', 'ada') }),
  ),
  weighing(2, fc.record({ do: does('revoke'), caller: callers, n: choice })),
  weighing(1, fc.record({ do: does('violated'), caller: callers })),
  weighing(
    1,
    fc.record({
      do: does('fail'),
      kind: fc.constantFrom('client', 'execution', 'coordination', 'webhook', 'delivery'),
      n: choice,
    }),
  ),
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

const ADDRESSES = {
  client: clientAddress,
  execution: executionAddress,
  coordination: coordinationAddress,
  webhook: webhookAddress,
  delivery: deliveryAddress,
};

/** What questions were charged to: one capability and those above it, each once. */
const createAsks = (one: TestSession) => {
  const asks: string[][] = [];
  const used = () => Object.entries(one.context().ledger.meters).map(([id, meter]) => [id, meter.used] as const);
  return {
    asks,
    counting: (ask: () => Answer): void => {
      const before = new Map(used());
      if (!ask().ok) return;
      const charged = used().filter(([id, now]) => now !== (before.get(id) ?? 0));
      for (const [id, now] of charged) assert.is(now, (before.get(id) ?? 0) + 1, `${id} is charged once`);
      asks.push(charged.map(([id]) => id));
    },
  };
};

/** Does what the action says; each request is answered once, or the ring throws. */
const perform = (
  one: TestSession,
  step: Action,
  { keys, counting }: { keys: ReturnType<typeof createKeys> } & Pick<ReturnType<typeof createAsks>, 'counting'>,
  drawn: string,
): void => {
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
      const { reserved, unattended, gate } = step;
      const command = facts(gate === null ? {} : { confirmations: question(gate) });
      const answer = one.execute({ caller, reserved, unattended, idempotency, command });
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
      return ring.fail(ADDRESSES[step.kind](SESSION, anyOf(step.kind, step.n)));
    case 'ask':
      return counting(() =>
        one.ask({
          type: 'session.ask',
          caller,
          coordination_id: `crd_${drawn}`,
          question: question(step.rules),
        }),
      );
    case 'vote': {
      const coordination_id = anyOf('coordination', step.n) as CoordinationId;
      const answer = one.ask({ type: 'session.vote', caller, coordination_id, vote: step.vote, comment: null });
      if (caller === STRANGER) assert.not(answer.ok);
      return;
    }
    case 'retract': {
      const coordination_id = anyOf('coordination', step.n) as CoordinationId;
      const asked = ring.actor(coordinationAddress(SESSION, coordination_id))?.standing().context;
      const requested_by = (asked as CoordinationContext | undefined)?.requester ?? OWNER;
      return void one.ask({ type: 'session.retract', caller, coordination_id, requested_by });
    }
    case 'confirm': {
      const id = anyOf('execution', step.n) as ExecutionId;
      const coordination_id = `crd_${drawn}`;
      const asked = [
        {
          key: `confirm#${step.n % 3}`,
          reason: 'confirm',
          coordination_id,
          question: question(step.rules),
          details: 1,
        },
      ];
      const said = { type: 'execution.wait', start: 1, asked, suspended: step.suspended, artifacts: [] };
      return one.agent(id, said);
    }
    case 'webhook':
      return void one.webhook(drawn, { caller, types: step.types as never });
    case 'unhook': {
      const id = anyOf('webhook', step.n);
      const ended = ring.ask(webhookAddress(SESSION, id), { type: 'webhook.end', reason: 'deleted' } as never);
      // As the gateway does, which knows what is pending.
      if (ended.ok)
        for (const [key, actor] of ring.actors)
          if (!actor.done() && (actor.standing().context as Partial<DeliveryContext>).webhook_id === id)
            if (key.includes('/delivery/'))
              ring.tell(deliveryAddress(SESSION, key.split('/')[2] as never), { type: 'delivery.cancel' });
      return;
    }
    case 'attempted': {
      const to = deliveryAddress(SESSION, anyOf('delivery', step.n) as never);
      const attempt = step.n === 0 ? 1 : (ring.actor(to)?.standing().context as DeliveryContext | undefined)?.attempts;
      const { ok, final } = step;
      const said = { attempt, ok, final, status: null, reason: null, retry_after_ms: null };
      return ring.tell(to, { type: 'delivery.attempted', ...said } as { type: string });
    }
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
      const { asks, counting } = createAsks(one);
      const assertWebhooks = createWebhookLaws(one);
      for (const [index, step] of steps.entries()) {
        const [wasOver, before] = [one.isOver(), events.length];
        perform(one, step, { keys, counting }, `d${index}`);
        assertLaws(one, asks);
        assertQuestions(one);
        assertWebhooks();
        // What its endpoints still have to be told is tried, and given up.
        const after = wasOver ? names(events.slice(before)) : [];
        assert.equal(
          after.filter((name) => name !== 'webhook_dead' && name !== 'actor_failed'),
          [],
          'nothing after the end',
        );
      }
      assertTold(one.ring);
      assertOutcomes(one);
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
