import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import type { Effect } from '../../machines/effect.ts';
import { isTerminalEvent } from '../../machines/event.ts';
import { execution, type ExecutionContext } from '../../machines/execution.ts';
import type { CoordinationId } from '../../machines/id.ts';
import type { Decided } from '../../machines/question.ts';
import { whenFirst, type Recorded } from '../../machines/step.ts';
import {
  GATE,
  OWNER,
  START,
  TIMEOUT,
  accept,
  complete,
  confirm,
  confirmed,
  crashed,
  create,
  deadline,
  events,
  fail,
  failed,
  runs,
  sleeps,
  start,
  step,
  wait,
  type Incoming,
} from '../support/execution-messages.ts';
import type { Standing } from '../support/machine.ts';

const test = suite('execution history');

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
  {
    weight: 2,
    arbitrary: fc
      .tuple(arbitraryStart, fc.constantFrom('crd_a', 'crd_b'), fc.boolean(), fc.constantFrom('', '', '2'))
      // A later run that asks again draws another id.
      .map(([of, id, suspended, again]) => confirm(of, 0, `${id}${again}` as CoordinationId, suspended, id)),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom(GATE, 'crd_a', 'crd_b'),
        fc.constantFrom<Decided>('confirmed', 'confirmed', 'rejected', 'timed_out', 'cancelled'),
      )
      .map(([id, status]) => confirmed(id as CoordinationId, 0, status)),
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
    gap: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.constantFrom('deadline' as const, 'late' as const)),
    random: fc.double({ min: 0, max: 0.999, noNaN: true }),
    restore: fc.boolean(),
  }),
  { maxLength: 25 },
);
const arbitraryRun = fc.record({
  gated: fc.constantFrom(false, false, true),
  reserved: fc.boolean(),
  max_attempts: fc.integer({ min: 1, max: 4 }),
  history: arbitraryHistory,
});

/** Where its time does not count. */
const WAITS: ReadonlySet<string> = new Set(['waiting', 'awaiting_confirmation']);

const isGate = (message: { readonly type: string }): boolean => {
  const { confirmation } = message as Extract<Incoming, { type: 'execution.confirmed' }>;
  return confirmation.coordination_id === GATE && confirmation.status === 'confirmed';
};

const sentTo = (effects: readonly Effect[], type: string): string[] =>
  effects.flatMap((effect) => {
    if (effect.type !== 'send' || effect.message.type !== type) return [];
    return [(effect.message as { coordination_id?: string }).coordination_id ?? effect.to.id];
  });
const questionsOf = ({ awaited }: Pick<ExecutionContext, 'awaited'>): string[] =>
  awaited.flatMap((each) => (each.reason === 'confirm' ? [each.coordination_id] : []));

/** What an outcome does: recorded where it is awaited, decided by where it is the gate, and nothing anywhere else. */
const assertHeard = (
  { confirmation }: Extract<Incoming, { type: 'execution.confirmed' }>,
  before: Standing<ExecutionContext>,
  after: Standing<ExecutionContext>,
  effects: readonly Effect[],
): void => {
  const { coordination_id: id, status } = confirmation;
  const { awaited } = before.context;
  const asked = awaited.find((each) => each.reason === 'confirm' && each.coordination_id === id);
  if (before.value === 'awaiting_confirmation' && id === before.context.confirmation) {
    const then = { confirmed: 'queued', cancelled: 'cancelled', rejected: 'failed', timed_out: 'failed' };
    assert.is(after.value, then[status]);
    assert.is(after.context.confirmation, null);
    assert.is(after.context.error?.reason ?? null, status === 'confirmed' || status === 'cancelled' ? null : status);
    assert.equal(sentTo(effects, 'coordination.cancel'), [], 'what has its outcome is not taken back');
  } else if (asked === undefined) {
    assert.equal([after, effects], [before, []], 'what was not asked is not heard');
  } else {
    assert.equal(
      after.context.recorded.find(({ key }) => key === asked.key),
      { key: asked.key, result: confirmation },
    );
    assert.not.ok(questionsOf(after.context).includes(id), 'it is not awaited any more');
    assert.is(after.value, before.value === 'waiting' ? 'queued' : before.value, 'it wakes who waits');
  }
};

/** Whether a message that carried a request must be answered by this machine. */
const answers = (message: { readonly type: string; readonly by?: unknown }): boolean =>
  message.type === 'execution.accept' || (message.type === 'execution.cancel' && message.by !== null);

test('whatever arrives whenever: one end, no step back, no attempt too many, one reply a request', () => {
  fc.assert(
    fc.property(arbitraryRun, ({ gated, reserved, max_attempts, history }) => {
      const one = create();
      const seen: Effect[] = one.take(accept(reserved, max_attempts, gated));
      let at = START;
      let reached = 0;
      let ended = false;
      /** When each sleep was to end, by its first asking, and what is finished: neither is ever taken back. */
      const dues = new Map<string, number>();
      let recorded: readonly Recorded[] = [];
      let waited = 0;
      let wasConfirmed = false;
      let wokenAt = Number.NaN;
      /** The questions that the session was asked to put. */
      const put: string[] = [];
      for (const { message, gap, random } of history) {
        const before = one.standing();
        const set = before.context.deadline;
        const since = at;
        at =
          gap === 'late'
            ? Math.max(at, START + TIMEOUT + waited)
            : gap === 'deadline'
              ? Math.max(at, set ?? at)
              : at + gap;
        const effects = one.take({ ...message, at, random } as Incoming);
        seen.push(...effects);
        const { value, context } = one.standing();

        if (ended) {
          assert.equal(effects, [], 'nothing after the end');
          continue;
        }
        if (message.type === 'execution.confirmed')
          assertHeard({ ...message, at, random } as never, before, { value, context }, effects);
        put.push(...sentTo(effects, 'session.confirm'));
        for (const id of questionsOf(context)) assert.ok(put.includes(id), `${id} is awaited and was put`);
        const isOutcome = message.type === 'execution.confirmed';
        const withdrawn = [...(before.context.confirmation === null ? [] : [GATE]), ...questionsOf(before.context)];
        if (!isOutcome)
          assert.equal(sentTo(effects, 'coordination.cancel'), one.done() ? withdrawn : [], 'taken back as it ends');
        assert.is(effects.filter(({ type }) => type === 'reply').length, answers(message) ? 1 : 0);
        assert.ok(context.attempts <= max_attempts);
        assert.ok(context.attempts <= context.failures + 1 && context.attempts <= context.starts);
        assert.equal(context.recorded.slice(0, recorded.length), recorded, 'what is recorded stays');
        ({ recorded } = context);
        assert.is(new Set(recorded.map(({ key }) => key)).size, recorded.length, 'each once');
        for (const { key, until } of sleeps(context.awaited)) {
          assert.is(until, dues.get(key) ?? until, 'asking again moves nothing');
          dues.set(key, until);
        }
        if (WAITS.has(before.value)) waited += at - since;
        if (!WAITS.has(value) && !one.done()) assert.is(context.waited_ms, waited);
        if (value === 'waiting' && before.value === 'running')
          assert.ok(at < START + TIMEOUT + waited, 'who falls asleep has time left');
        // An answer that is there already wakes at once.
        if (message.type === 'execution.wait') wokenAt = at;
        if (value === 'waiting' && context.deadline !== wokenAt)
          assert.is(context.deadline, whenFirst(context.awaited), 'the first wakes');
        if (gated && !events(seen).includes('execution_started'))
          assert.not.ok(runs(effects).length > 0 && !wasConfirmed, 'nothing runs before it is confirmed');
        wasConfirmed ||=
          message.type === 'execution.confirmed' && isGate(message) && before.value === 'awaiting_confirmation';
        for (const { recorded: finished = [], awaited = [] } of runs(effects)) {
          for (const { key } of finished)
            assert.ok(
              !key.startsWith('sleep') || key === 'sleep a' || (dues.get(key) ?? Infinity) <= at,
              'never early',
            );
          assert.equal(
            awaited.flatMap(({ key, remaining_ms }) => (remaining_ms === null ? [] : [[key, remaining_ms + at]])),
            sleeps(context.awaited).map(({ key, until }) => [key, until]),
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
        const isAsking =
          value === 'awaiting_confirmation' || (value === 'waiting' && whenFirst(context.awaited) === null);
        if (context.deadline !== wokenAt || !isAsking)
          assert.is(
            context.deadline === null,
            ended || isAsking,
            'a deadline until it ends, but where people have to answer',
          );
        const waits = { running: `run:${context.starts}`, queued: 'enqueue:3' }[value] ?? null;
        assert.is(context.waits, waits);
      }
      assert.is(events(seen).filter(isTerminalEvent).length, ended ? 1 : 0);
      assert.is(
        seen.filter((effect) => effect.type === 'send' && effect.message.type === 'execution.ended').length,
        ended ? 1 : 0,
      );
      assert.is(new Set(put.map((id) => id.slice(0, 'crd_a'.length))).size, put.length, 'each question is put once');
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

      // What it sleeps for, or asks, comes before the deadline of the whole.
      if (one.standing().value === 'awaiting_confirmation') one.take(confirmed(GATE, at));
      for (let turns = 0; one.standing().value === 'waiting' && turns < 8; turns++) {
        for (const each of one.standing().context.awaited)
          if (each.reason === 'confirm' && one.standing().value === 'waiting')
            one.take(confirmed(each.coordination_id, at));
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
    fc.property(arbitraryRun, ({ gated, reserved, max_attempts, history }) => {
      const steady = create();
      const restored = create();
      const first = accept(reserved, max_attempts, gated);
      assert.equal(restored.take(first), steady.take(first));
      let at = START;
      for (const { message, gap, random, restore } of history) {
        if (steady.done()) return;
        at += typeof gap === 'number' ? gap : 10_000;
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
      accept(false, 4, true),
      confirmed(GATE, START),
      confirmed(GATE, START, 'rejected'),
      confirmed(GATE, START, 'cancelled'),
      confirm(1, START, 'crd_a'),
      confirmed('crd_a', START),
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
