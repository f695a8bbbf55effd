import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clientAddress, sessionAddress } from '../../machines/address.ts';
import type { ClientType } from '../../machines/capability.ts';
import { isTerminalEvent } from '../../machines/event.ts';
import type { ClientId, ExecutionId } from '../../machines/id.ts';
import { OWNER, SESSION, STRANGER, TTL, createSession, newClient } from '../support/session.ts';

const test = suite('session, its clients and its executions');

const names = (events: readonly { event: string }[]) => events.map(({ event }) => event);

const clientIds = fc.constantFrom<ClientId>('cli_1', 'cli_2', 'cli_3');
const executionIds = fc.integer({ min: 1, max: 8 }).map((n): ExecutionId => `exe_${n}`);
const callers = fc.oneof(
  { weight: 4, arbitrary: fc.constant(OWNER) },
  fc.constant(STRANGER),
  fc.record({ principal: fc.constantFrom('ada', 'bob'), client_id: clientIds }),
);
const actions = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('execute' as const),
      caller: callers,
      reserved: fc.boolean(),
      key: fc.option(fc.constantFrom('a', 'b')),
      body: fc.constantFrom('x', 'x', 'y'),
    }),
  },
  fc.record({
    do: fc.constant('register' as const),
    caller: callers,
    id: fc.constantFrom('1', '2', '3'),
    principal: fc.constantFrom('ada', 'bob'),
    type: fc.constantFrom<ClientType>('cli', 'web'),
  }),
  fc.record({ do: fc.constant('leave' as const), caller: callers, client_id: clientIds }),
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('cancel' as const), caller: callers, execution_id: executionIds }),
  },
  fc.record({
    do: fc.constant('presence' as const),
    client_id: clientIds,
    type: fc.constantFrom('client.attach', 'client.detach', 'client.leave'),
  }),
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('agent' as const),
      execution_id: executionIds,
      type: fc.constantFrom('execution.start', 'execution.start', 'execution.complete', 'execution.fail'),
      attempt: fc.constantFrom(1, 1, 2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(100, 1_000, 20_000, 60_000, TTL) }),
  },
  fc.record({ do: fc.constant('restore' as const) }),
);
const history = fc.array(
  fc.oneof({ weight: 30, arbitrary: actions }, fc.constant({ do: 'close' as const, caller: OWNER })),
  {
    maxLength: 40,
  },
);

test('whatever is asked in whatever order: one answer each, counts that are true, one end, nothing after it', () => {
  fc.assert(
    fc.property(history, (steps) => {
      const one = createSession();
      const { ring } = one;
      const bodies = new Map<string, string>();
      const known = new Map<string, unknown>();
      for (const step of steps) {
        const acceptedBefore = one.context().counts.accepted;
        const wasOver = ring.actor(sessionAddress(SESSION))?.done() === true;
        const eventsBefore = ring.events.length;
        if (step.do === 'execute') {
          const { caller, reserved, key, body: body_hash } = step;
          const answer = one.execute({ caller, reserved, idempotency: key === null ? null : { key, body_hash } });
          const scoped = `${caller.principal} ${key}`;
          if (key !== null && answer.ok) {
            assert.is(answer.body.replayed === true, bodies.has(scoped), 'a known key is replayed');
            assert.is(answer.body.execution_id, known.get(scoped) ?? answer.body.execution_id);
            assert.is(bodies.get(scoped) ?? body_hash, body_hash);
            bodies.set(scoped, body_hash);
            known.set(scoped, answer.body.execution_id);
          }
          const accepts = answer.ok && answer.body.replayed !== true;
          assert.is(one.context().counts.accepted - acceptedBefore, accepts ? 1 : 0);
          if (caller === STRANGER) assert.not.ok(answer.ok);
        }
        // Ids are drawn, so none comes again once its client has left.
        const gone = ring.actor(clientAddress(SESSION, `cli_${'id' in step ? step.id : ''}`))?.done() === true;
        if (step.do === 'register' && !gone) one.register(newClient(step.id, step.type, step.principal), step.caller);
        if (step.do === 'leave') one.ask({ type: 'session.leave', caller: step.caller, client_id: step.client_id });
        if (step.do === 'cancel') one.cancel(step.execution_id, step.caller);
        if (step.do === 'presence') ring.tell(clientAddress(SESSION, step.client_id), { type: step.type });
        if (step.do === 'agent') {
          const { execution_id, type, attempt } = step;
          const problem = { code: 'handler_crashed', detail: '' };
          const told = { type, attempt, result: 1, artifacts: [], retryable: true, problem };
          one.agent(execution_id, told as { type: string });
        }
        if (step.do === 'wait') ring.advance(step.ms);
        if (step.do === 'restore') ring.restore();
        if (step.do === 'close') one.close(step.caller);

        const { executions, counts, clients, deadline } = one.context();
        const over = ring.actor(sessionAddress(SESSION))?.done() === true;
        const living = [...ring.actors].filter(([key, actor]) => key.includes('/execution/') && !actor.done());
        const present = [...ring.actors].filter(([key, actor]) => key.includes('/client/') && !actor.done());
        assert.equal(executions.map(({ id }) => id).toSorted(), living.map(([key]) => key.split('/')[2]).toSorted());
        assert.is(counts.queued, living.filter(([, actor]) => actor.standing().value === 'queued').length);
        assert.equal(Object.keys(clients).toSorted(), present.map(([key]) => key.split('/')[2]).toSorted());
        for (const [key, actor] of present)
          assert.is(clients[key.split('/')[2] as ClientId]?.attached, actor.standing().value === 'attached');
        assert.is(deadline === null, over, 'it always has a next deadline until it is over');
        if (over) assert.equal([living, present], [[], []]);
        if (wasOver) assert.is(ring.events.length, eventsBefore, 'nothing after the end');
      }
      const ends = names(ring.events).filter((name) => name === 'session_closed' || name === 'session_expired').length;
      assert.is(ends, ring.actor(sessionAddress(SESSION))?.done() === true ? 1 : 0);
      const started = [...ring.actors].filter(([key]) => key.includes('/execution/'));
      const over = started.filter(([, actor]) => actor.done()).length;
      assert.is(names(ring.events).filter(isTerminalEvent).length, over, 'one terminal event each');
    }),
    { numRuns: 150 },
  );
});

test.run();
