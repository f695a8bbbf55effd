import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import type { CommandFacts } from '../../machines/command.ts';
import type { Effect } from '../../machines/effect.ts';
import { problem } from '../../machines/error.ts';
import { isTerminalEvent } from '../../machines/event.ts';
import { execution } from '../../machines/execution.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { DeadlineMessage, ExecutionMessage, Taken } from '../../machines/message.ts';
import { createDriver } from '../support/machine.ts';

const test = suite('execution');

type Incoming = (ExecutionMessage | DeadlineMessage) & Taken;
const START = 1_000_000;
const TIMEOUT = 30_000;
const OWNER = { principal: 'ada', client_id: null } as const;
const crashed = problem('handler_crashed', 'the thread ended');
const failed = problem('handler_failed', 'no');

const facts = (max_attempts: number): CommandFacts => ({
  name: 'analyze',
  operation: 'read',
  resource: 'operations',
  risk: 'low',
  audit: false,
  mode: 'async',
  timeout: 30,
  max_attempts,
});

const accept = (reserved: boolean, max_attempts = 4): Incoming => ({
  type: 'execution.accept',
  session_id: 'ses_1',
  execution_id: 'exe_1',
  command: facts(max_attempts),
  args: { path: '.' },
  caller: OWNER,
  capability_id: 'cap_1',
  charged: ['cap_1'],
  timeout_ms: TIMEOUT,
  priority: 3,
  reserved,
  idempotency_key: null,
  at: START,
  random: 0,
});
const fail = (attempt: number, at: number, retryable = true, cause = crashed): Incoming => ({
  type: 'execution.fail',
  attempt,
  problem: cause,
  retryable,
  artifacts: [],
  at,
  random: 0.5,
});
const complete = (attempt: number, at: number): Incoming => ({
  type: 'execution.complete',
  attempt,
  result: { ok: true },
  artifacts: [],
  at,
  random: 0,
});
const deadline = (at: number): Incoming => ({ type: 'deadline', at, random: 0 });
const start = (at: number): Incoming => ({ type: 'execution.start', at, random: 0 });

const create = () => createDriver<ExecutionContext>(execution);
const events = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => (effect.type === 'event' ? [effect.event] : []));
const types = (effects: readonly Effect[]) =>
  effects.map((effect) =>
    effect.type === 'send' ? effect.message.type : effect.type === 'event' ? effect.event : effect.type,
  );

test('with a reserved place it is queued, started and running in the turn of its acceptance', () => {
  const one = create();
  const effects = one.take(accept(true));
  assert.equal(types(effects), ['execution_queued', 'execution_started', 'run', 'reply']);
  assert.equal(effects[2], {
    type: 'run',
    run: { execution_id: 'exe_1', attempt: 1, command: 'analyze', args: { path: '.' }, idempotency_key: 'exe_1' },
  });
  const { value, context } = one.standing();
  assert.is(value, 'running');
  assert.is(context.waits, 'run:1');
  assert.is(context.deadline, START + TIMEOUT);
});

test('without one it waits for a place', () => {
  const one = create();
  assert.equal(types(one.take(accept(false))), ['execution_queued', 'enqueue', 'reply']);
  assert.is(one.standing().context.waits, 'enqueue:3');
  assert.equal(types(one.take(start(START + 5))), ['execution_started', 'run', 'execution.changed']);
  assert.equal(types(one.take(complete(1, START + 9))), ['execution_completed', 'execution.ended']);
  const { context } = one.standing();
  assert.equal(
    [context.accepted_at, context.started_at, context.ended_at, context.deadline, context.waits],
    [START, START + 5, START + 9, null, null],
  );
  assert.equal(context.result, { ok: true });
});

test('a lost attempt is tried again after the backoff, and the last one says that all were lost', () => {
  const one = create();
  one.take(accept(true, 2));
  const retrying = one.take(fail(1, START + 10));
  assert.equal(retrying, [
    {
      type: 'event',
      event: 'execution_retrying',
      subject: 'exe_1',
      data: { execution_id: 'exe_1', attempt: 1, delay_ms: 500, problem: crashed },
      severity: 'warning',
    },
  ]);
  assert.is(one.standing().context.deadline, START + 510);
  assert.equal(one.take(deadline(START + 509)), [], 'never early');
  assert.equal(types(one.take(deadline(START + 510))), ['enqueue', 'execution.changed']);
  assert.equal(types(one.take(start(START + 600))), ['execution_started', 'run', 'execution.changed']);
  assert.equal(one.take(complete(1, START + 601)), [], 'a late result of the first attempt is nobody’s');
  assert.equal(events(one.take(fail(2, START + 700))), ['execution_failed']);
  const { error } = one.standing().context;
  assert.is(error?.code, 'attempts_exhausted');
  assert.is(error?.cause, 'handler_crashed');
});

test('a terminal error is not tried again and is kept as it is', () => {
  const one = create();
  one.take(accept(true));
  assert.equal(events(one.take(fail(1, START + 10, false, failed))), ['execution_failed']);
  assert.equal(one.standing().context.error, failed);
});

test('a retry does not outlive the deadline of the whole', () => {
  const one = create();
  one.take(accept(true));
  one.take(fail(1, START + TIMEOUT - 10));
  assert.is(one.standing().context.deadline, START + TIMEOUT);
  assert.equal(types(one.take(deadline(START + TIMEOUT))), ['execution_timed_out', 'stop', 'execution.ended']);
});

test('cancelling answers whoever asked, and nobody where the session did it', () => {
  const asked = create();
  asked.take(accept(true));
  const cancel = { type: 'execution.cancel', at: START + 1, random: 0 } as const;
  const effects = asked.take({ ...cancel, by: OWNER } as Incoming);
  assert.equal(types(effects), ['execution_cancelled', 'stop', 'reply', 'execution.ended']);
  const silent = create();
  silent.take(accept(false));
  assert.equal(types(silent.take({ ...cancel, by: null } as Incoming)), [
    'execution_cancelled',
    'stop',
    'execution.ended',
  ]);
});

test('revoking what it was accepted under, or charged to, cancels it wherever it stands; anything else does not', () => {
  const revoke = (...capability_ids: string[]) =>
    ({ type: 'execution.revoke', capability_ids, at: START + 1, random: 0 }) as Incoming;
  const charged = ['cap_1', 'cap_parent'];
  const ways: Record<string, Incoming[]> = {
    queued: [accept(false)],
    running: [accept(true)],
    retrying: [accept(true), fail(1, START)],
  };
  for (const [state, way] of Object.entries(ways))
    for (const id of ['cap_1', 'cap_parent']) {
      const one = create();
      for (const message of way)
        one.take((message.type === 'execution.accept' ? { ...message, charged } : message) as Incoming);
      assert.is(one.standing().value, state);
      assert.equal(one.take(revoke('cap_2', 'exe_1')), []);
      assert.equal(one.take(revoke()), []);
      const [event, ...effects] = one.take(revoke('cap_0', id));
      assert.equal(types(effects), ['stop', 'execution.ended'], 'nobody waits for a reply');
      const data = { execution_id: 'exe_1', cancelled_by: null, reason: 'revoked' };
      assert.ok(event?.type === 'event');
      assert.equal([event.event, event.data], ['execution_cancelled', data]);
      const { value, context } = one.standing();
      assert.equal([value, context.error?.code, context.error?.['reason']], ['cancelled', 'cancelled', 'revoked']);
    }
});

test('progress never falls, also over attempts, and what is not of the current run is ignored', () => {
  const one = create();
  one.take(accept(true));
  const told = (attempt: number, progress: number) =>
    one
      .take({
        type: 'execution.progress',
        attempt,
        progress,
        message: 'm',
        metadata: { n: 1 },
        at: START,
        random: 0,
      } as Incoming)
      .map((effect) => (effect.type === 'event' ? effect.data : effect));
  const event = (progress: number) => [{ execution_id: 'exe_1', progress, message: 'm', metadata: { n: 1 } }];
  assert.equal(told(1, 40), event(40));
  assert.equal(told(1, 20), event(40));
  assert.equal(told(1, Number.NaN), event(40));
  assert.equal(told(2, 90), []);
  one.take(fail(1, START));
  one.take(start(START));
  assert.equal(told(1, 90), []);
  assert.equal(told(2, 10), event(40));
  assert.equal(told(2, 1_000), event(100));
});

/** Mostly of the first runs, so that many are of the current one. */
const arbitraryAttempt = fc.constantFrom(1, 1, 1, 2, 2, 0, 3, 4);

/** Everything that can arrive, in any order: wrong attempts, doubled and early messages included. */
const arbitraryMessage = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ type: 'execution.start' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('execution.progress'),
      attempt: arbitraryAttempt,
      progress: fc.oneof(fc.integer({ min: -10, max: 120 }), fc.constant(Number.NaN)),
      message: fc.constant(null),
      metadata: fc.constant({}),
    }),
  },
  fc.record({
    type: fc.constant('execution.output'),
    attempt: arbitraryAttempt,
    stream: fc.constant('stdout'),
    chunk: fc.string(),
  }),
  fc.record({
    type: fc.constant('execution.complete'),
    attempt: arbitraryAttempt,
    result: fc.constant(1),
    artifacts: fc.constant([]),
  }),
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('execution.fail'),
      attempt: arbitraryAttempt,
      problem: fc.constantFrom(crashed, failed),
      retryable: fc.boolean(),
      artifacts: fc.constant([]),
    }),
  },
  fc.record({ type: fc.constant('execution.cancel'), by: fc.constantFrom(null, OWNER) }),
  fc.record({ type: fc.constant('execution.revoke'), capability_ids: fc.constantFrom(['cap_1'], ['cap_2'], []) }),
  { weight: 4, arbitrary: fc.constant({ type: 'deadline' }) },
  fc.constant({ type: 'execution.accept', reserved: true }),
  fc.constant({ type: 'execution.unheard_of' }),
);
const arbitraryHistory = fc.array(
  fc.record({
    message: arbitraryMessage,
    // Now and then the deadline that is set, or far beyond all of them.
    wait: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.constantFrom('deadline' as const, 'late' as const)),
    random: fc.double({ min: 0, max: 0.999, noNaN: true }),
    restore: fc.boolean(),
  }),
  { maxLength: 25 },
);
const arbitraryRun = fc.record({
  reserved: fc.boolean(),
  max_attempts: fc.integer({ min: 1, max: 4 }),
  history: arbitraryHistory,
});

/** Whether a message that carried a request must be answered by this machine. */
const answers = (message: { readonly type: string; readonly by?: unknown }): boolean =>
  message.type === 'execution.accept' || (message.type === 'execution.cancel' && message.by !== null);

test('whatever arrives whenever: one end, no step back, no attempt too many, one reply a request', () => {
  fc.assert(
    fc.property(arbitraryRun, ({ reserved, max_attempts, history }) => {
      const one = create();
      const seen: Effect[] = one.take(accept(reserved, max_attempts));
      let at = START;
      let reached = 0;
      let ended = false;
      for (const { message, wait, random } of history) {
        const before = one.standing();
        const set = before.context.deadline;
        at =
          wait === 'late' ? Math.max(at, START + TIMEOUT) : wait === 'deadline' ? Math.max(at, set ?? at) : at + wait;
        const effects = one.take({ ...message, at, random } as Incoming);
        seen.push(...effects);
        const { value, context } = one.standing();

        if (ended) {
          assert.equal(effects, [], 'nothing after the end');
          continue;
        }
        assert.is(effects.filter(({ type }) => type === 'reply').length, answers(message) ? 1 : 0);
        assert.ok(context.attempts <= max_attempts);
        assert.ok(context.progress >= reached && context.progress <= 100, 'progress never falls');
        reached = context.progress;
        if (message.type === 'deadline') {
          const next = context.deadline;
          if (set !== null && at < set) assert.equal(effects, [], 'a deadline that has not come does nothing');
          else
            assert.ok(
              next === null || set === null || next > set || next === START + TIMEOUT,
              'no deadline comes twice',
            );
        }
        ended = one.done();
        assert.is(context.ended_at === null, !ended);
        assert.is(context.deadline === null, ended, 'a deadline until it ends');
        const waits = { running: `run:${context.attempts}`, queued: 'enqueue:3' }[value] ?? null;
        assert.is(context.waits, waits);
      }
      assert.is(events(seen).filter(isTerminalEvent).length, ended ? 1 : 0);
      assert.is(
        seen.filter((effect) => effect.type === 'send' && effect.message.type === 'execution.ended').length,
        ended ? 1 : 0,
      );
      const runs = seen.flatMap((effect) => (effect.type === 'run' ? [effect.run.attempt] : []));
      assert.equal(
        runs,
        runs.map((_, index) => index + 1),
        'attempts are numbered densely',
      );

      one.take(deadline(START + TIMEOUT));
      assert.ok(one.done(), 'its deadline ends it whatever went before');
    }),
    { numRuns: 300 },
  );
});

test('a restore at any point changes nothing of what follows', () => {
  fc.assert(
    fc.property(arbitraryRun, ({ reserved, max_attempts, history }) => {
      const steady = create();
      const restored = create();
      assert.equal(restored.take(accept(reserved, max_attempts)), steady.take(accept(reserved, max_attempts)));
      let at = START;
      for (const { message, wait, random, restore } of history) {
        if (steady.done()) return;
        at += typeof wait === 'number' ? wait : 10_000;
        if (restore) restored.restore();
        const taken = { ...message, at, random } as Incoming;
        assert.equal(restored.take(taken), steady.take(taken));
        assert.equal(restored.standing(), steady.standing());
      }
    }),
    { numRuns: 150 },
  );
});

test('every state is reached, and each shortest way that ends has one terminal event', () => {
  const late = START + TIMEOUT;
  const paths = getShortestPaths(execution, {
    events: [
      accept(true),
      accept(false),
      start(START),
      complete(1, START),
      fail(1, START),
      fail(1, START, false),
      { type: 'execution.cancel', by: null, at: START, random: 0 },
      deadline(START + 1_000),
      deadline(late),
    ] as EventFromLogic<typeof execution>[],
    serializeState: ({ value, context }) => `${value as string} ${context.attempts}`,
  });
  const reached = new Set(paths.map(({ state }) => state.value));
  assert.equal([...reached].toSorted(), Object.keys(execution.states).toSorted());
  for (const { steps, state } of paths) {
    const one = create();
    const seen = steps.flatMap(({ event }) => ((event.type as string) === 'xstate.init' ? [] : one.take(event)));
    assert.is(one.standing().value, state.value);
    assert.is(events(seen).filter(isTerminalEvent).length, state.status === 'done' ? 1 : 0);
  }
});

test.run();
