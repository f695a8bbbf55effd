import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import type { ArtifactInfo, CommandFacts } from '../../machines/command.ts';
import type { Effect, Run } from '../../machines/effect.ts';
import { problem } from '../../machines/error.ts';
import { isTerminalEvent } from '../../machines/event.ts';
import { execution } from '../../machines/execution.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { DeadlineMessage, ExecutionMessage, Taken } from '../../machines/message.ts';
import type { Recorded } from '../../machines/step.ts';
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
const fail = (of: number, at: number, retryable = true, cause = crashed): Incoming => ({
  type: 'execution.fail',
  start: of,
  problem: cause,
  retryable,
  artifacts: [],
  at,
  random: 0.5,
});
const complete = (of: number, at: number): Incoming => ({
  type: 'execution.complete',
  start: of,
  result: { ok: true },
  artifacts: [],
  at,
  random: 0,
});
const wait = (of: number, at: number, sleeps: Record<string, number>, suspended = true): Incoming => ({
  type: 'execution.wait',
  start: of,
  asked: Object.entries(sleeps).map(([key, remaining_ms]) => ({ key, reason: 'sleep', remaining_ms })),
  suspended,
  artifacts: [],
  at,
  random: 0,
});
const step = (
  of: number,
  at: number,
  key: string,
  result: unknown,
  artifacts: readonly ArtifactInfo[] = [],
): Incoming => ({
  type: 'execution.step',
  start: of,
  step: { key, result },
  artifacts,
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
    run: {
      execution_id: 'exe_1',
      start: 1,
      attempt: 1,
      command: 'analyze',
      args: { path: '.' },
      idempotency_key: 'exe_1',
    },
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
    waiting: [accept(true), wait(1, START, { a: 5_000 })],
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
  const told = (of: number, progress: number) =>
    one
      .take({
        type: 'execution.progress',
        start: of,
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

const runs = (effects: readonly Effect[]): Run[] =>
  effects.flatMap((effect) => (effect.type === 'run' ? [effect.run] : []));

test('a sleep holds no thread, wakes in time, and counts neither as an attempt nor to the timeout', () => {
  const one = create();
  one.take(accept(true, 1));
  assert.equal(one.take(wait(1, START + 1_000, { a: 100_000.5 })), [
    {
      type: 'event',
      event: 'execution_waiting',
      subject: 'exe_1',
      data: { execution_id: 'exe_1', until: new Date(START + 101_001).toISOString(), reason: 'sleep' },
    },
  ]);
  assert.is(one.standing().value, 'waiting');
  assert.is(one.standing().context.waits, null);
  assert.equal(one.take(complete(1, START + 1_001)), [], 'the run is over');
  assert.equal(one.take(fail(1, START + 1_001)), [], 'also where its thread was lost since');
  assert.equal(one.take(start(START + 1_001)), []);
  assert.equal(one.take(deadline(START + 101_000)), [], 'never early');
  assert.equal(types(one.take(deadline(START + 101_001))), ['enqueue', 'execution.changed']);
  assert.is(one.standing().context.deadline, START + TIMEOUT + 100_001);
  const effects = one.take(start(START + 101_010));
  assert.equal(types(effects), ['execution_started', 'run', 'execution.changed']);
  const [again] = runs(effects);
  assert.equal([again?.start, again?.attempt, again?.recorded, again?.awaited], [2, 1, [{ key: 'a' }], undefined]);
  assert.equal(one.take(complete(1, START + 101_011)), [], 'the first run is fenced');
  assert.equal(events(one.take(complete(2, START + 101_020))), ['execution_completed']);
  assert.is(one.standing().context.attempts, 1);
});

test('several sleeps wait side by side: the first wakes, the others keep their time over retries', () => {
  const one = create();
  one.take(accept(true));
  one.take(wait(1, START, { a: 3_000, b: 1_000, c: 2_000 }));
  one.take(deadline(START + 1_000));
  const [second] = runs(one.take(start(START + 1_500)));
  assert.equal(second?.recorded, [{ key: 'b' }]);
  assert.equal(second?.awaited, [
    { key: 'a', reason: 'sleep', remaining_ms: 1_500 },
    { key: 'c', reason: 'sleep', remaining_ms: 500 },
  ]);
  one.take(fail(2, START + 1_600));
  one.take(deadline(START + 2_100));
  const [third] = runs(one.take(start(START + 3_000)));
  assert.equal(third?.recorded, [{ key: 'b' }, { key: 'c' }, { key: 'a' }], 'in the order of their times');
  assert.equal([third?.start, third?.attempt], [3, 2]);
});

test('a sleep beside a step has its time from then on, and one that ended there is finished', () => {
  const one = create();
  one.take(accept(true));
  assert.equal(one.take(wait(1, START, { a: 1_000, b: 9_000 }, false)), []);
  assert.is(one.standing().value, 'running');
  one.take(step(1, START + 1_000, 'a', undefined));
  one.take(wait(1, START + 5_000, { b: 9_000 }));
  assert.equal(
    one.standing().context.awaited.map(({ key, until }) => [key, until]),
    [['b', START + 9_000]],
  );
});

test('steps travel with the next run, with the artifacts that were written until then, and are not overwritten', () => {
  const one = create();
  const artifact = (name: string, bytes: number): ArtifactInfo => ({ name, bytes, sha256: '', media_type: 'a/b' });
  one.take(accept(true));
  assert.equal(one.take(step(1, START, 'step a', { n: 1 }, [artifact('x', 1), artifact('y', 1)])), []);
  one.take(step(1, START, 'step a', { n: 2 }));
  one.take(step(2, START, 'step b', 2));
  one.take(fail(1, START));
  one.take(deadline(START + 1_000));
  const [again] = runs(one.take(start(START + 1_000)));
  assert.equal(again?.recorded, [{ key: 'step a', result: { n: 1 } }]);
  assert.equal(again?.artifacts, [artifact('x', 1), artifact('y', 1)]);
  one.take(step(2, START, 'step b', 2, [artifact('x', 2)]));
  one.take(complete(2, START + 1_100));
  assert.equal(one.standing().context.artifacts, [artifact('y', 1), artifact('x', 2)]);
});

test('waiting is ended by whoever may cancel, and by its session', () => {
  for (const by of [null, OWNER]) {
    const one = create();
    one.take(accept(true));
    one.take(wait(1, START, { a: 1_000 }));
    const cancel = { type: 'execution.cancel', by, at: START, random: 0 } as Incoming;
    assert.equal(events(one.take(cancel)), ['execution_cancelled']);
    assert.is(one.standing().context.deadline, null);
  }
});

test('the backoff is the command’s own where it has one', () => {
  const one = create();
  const command = { ...facts(4), backoff: { base_ms: 10, cap_ms: 15 } };
  one.take({ ...accept(true), command } as Incoming);
  one.take({ ...fail(1, START), random: 0.999 } as Incoming);
  assert.is(one.standing().context.deadline, START + 9);
  one.take(deadline(START + 9));
  one.take(start(START + 9));
  one.take({ ...fail(2, START + 9), random: 0.999 } as Incoming);
  assert.is(one.standing().context.deadline, START + 9 + 14, 'capped');
});

/** Mostly of the first runs, so that many are of the current one. */
const arbitraryStart = fc.constantFrom(1, 1, 1, 2, 2, 0, 3, 4);

/** Everything that can arrive, in any order: wrong attempts, doubled and early messages included. */
const arbitraryMessage = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ type: 'execution.start' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('execution.progress'),
      start: arbitraryStart,
      progress: fc.oneof(fc.integer({ min: -10, max: 120 }), fc.constant(Number.NaN)),
      message: fc.constant(null),
      metadata: fc.constant({}),
    }),
  },
  fc.record({
    type: fc.constant('execution.output'),
    start: arbitraryStart,
    stream: fc.constant('stdout'),
    chunk: fc.string(),
  }),
  fc.record({
    type: fc.constant('execution.complete'),
    start: arbitraryStart,
    result: fc.constant(1),
    artifacts: fc.constant([]),
  }),
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('execution.fail'),
      start: arbitraryStart,
      problem: fc.constantFrom(crashed, failed),
      retryable: fc.boolean(),
      artifacts: fc.constant([]),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('execution.step'),
      start: arbitraryStart,
      step: fc.record({ key: fc.constantFrom('step a', 'step b', 'sleep a'), result: fc.nat(9) }),
      artifacts: fc.constant([]),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('execution.wait'),
      start: arbitraryStart,
      asked: fc.uniqueArray(
        fc.record({
          key: fc.constantFrom('sleep a', 'sleep b', 'sleep c'),
          reason: fc.constant('sleep'),
          remaining_ms: fc.oneof(fc.nat(5_000), fc.constant(0.4)),
        }),
        { maxLength: 3, selector: ({ key }) => key },
      ),
      suspended: fc.boolean(),
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
      /** When each sleep was to end, by its first asking, and what is finished: neither is ever taken back. */
      const dues = new Map<string, number>();
      let recorded: readonly Recorded[] = [];
      let waited = 0;
      for (const { message, wait, random } of history) {
        const before = one.standing();
        const set = before.context.deadline;
        const since = at;
        at =
          wait === 'late'
            ? Math.max(at, START + TIMEOUT + waited)
            : wait === 'deadline'
              ? Math.max(at, set ?? at)
              : at + wait;
        const effects = one.take({ ...message, at, random } as Incoming);
        seen.push(...effects);
        const { value, context } = one.standing();

        if (ended) {
          assert.equal(effects, [], 'nothing after the end');
          continue;
        }
        assert.is(effects.filter(({ type }) => type === 'reply').length, answers(message) ? 1 : 0);
        assert.ok(context.attempts <= max_attempts);
        assert.ok(context.attempts <= context.failures + 1 && context.attempts <= context.starts);
        assert.equal(context.recorded.slice(0, recorded.length), recorded, 'what is recorded stays');
        ({ recorded } = context);
        assert.is(new Set(recorded.map(({ key }) => key)).size, recorded.length, 'each once');
        for (const { key, until } of context.awaited) {
          assert.is(until, dues.get(key) ?? until, 'asking again moves nothing');
          dues.set(key, until);
        }
        if (before.value === 'waiting') waited += at - since;
        if (value !== 'waiting' && !one.done()) assert.is(context.waited_ms, waited);
        if (value === 'waiting')
          assert.is(context.deadline, Math.min(...context.awaited.map(({ until }) => until)), 'the first wakes');
        for (const { recorded: finished = [], awaited = [] } of runs(effects)) {
          for (const { key } of finished)
            assert.ok(key.startsWith('step') || key === 'sleep a' || (dues.get(key) ?? Infinity) <= at, 'never early');
          assert.equal(
            awaited.map(({ key, remaining_ms }) => [key, remaining_ms + at]),
            context.awaited.map(({ key, until }) => [key, until]),
          );
        }
        assert.ok(context.progress >= reached && context.progress <= 100, 'progress never falls');
        reached = context.progress;
        if (message.type === 'deadline') {
          const next = context.deadline;
          if (set !== null && at < set) assert.equal(effects, [], 'a deadline that has not come does nothing');
          else
            assert.ok(
              next === null || set === null || next > set || next === START + TIMEOUT + context.waited_ms,
              'no deadline comes twice',
            );
        }
        ended = one.done();
        assert.is(context.ended_at === null, !ended);
        assert.is(context.deadline === null, ended, 'a deadline until it ends');
        const waits = { running: `run:${context.starts}`, queued: 'enqueue:3' }[value] ?? null;
        assert.is(context.waits, waits);
      }
      assert.is(events(seen).filter(isTerminalEvent).length, ended ? 1 : 0);
      assert.is(
        seen.filter((effect) => effect.type === 'send' && effect.message.type === 'execution.ended').length,
        ended ? 1 : 0,
      );
      const starts = runs(seen).map(({ start: number }) => number);
      assert.equal(
        starts,
        starts.map((_, index) => index + 1),
        'starts are numbered densely',
      );
      for (const [index, { attempt }] of runs(seen).entries()) {
        const last = runs(seen)[index - 1]?.attempt ?? 0;
        assert.ok(attempt === last + 1 || (attempt === last && last > 0), 'waking is no attempt');
      }

      // What it sleeps for comes before the deadline of the whole.
      for (let sleeps = 0; one.standing().value === 'waiting' && sleeps < 4; sleeps++) {
        at = Math.max(at, one.standing().context.deadline ?? at);
        one.take(deadline(at));
      }
      one.take(deadline(START + TIMEOUT + one.standing().context.waited_ms));
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
      wait(1, START, { a: 500 }),
      step(1, START, 'step a', 1),
      { type: 'execution.cancel', by: null, at: START, random: 0 },
      deadline(START + 1_000),
      deadline(late),
    ] as EventFromLogic<typeof execution>[],
    serializeState: ({ value, context }) => `${value as string} ${context.starts} ${context.attempts}`,
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
