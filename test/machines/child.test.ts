import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import { child } from '../../machines/child.ts';
import type { ChildContext, ChildEffect, ChildSpec } from '../../machines/child.ts';
import { restartAllowed } from '../../machines/restart.ts';
import { createDriver } from '../support/machine.ts';

const test = suite('child');

const spec = (more: Partial<ChildSpec> = {}): ChildSpec => ({
  id: 'shard-0',
  limits: { max_restarts: 3, max_seconds: 5 },
  beyond: 'fail',
  restart: { base_ms: 100, cap_ms: 1_000 },
  rebuild: { base_ms: 1_000, cap_ms: 30_000 },
  start_ms: 10_000,
  kill_ms: 2_000,
  ...more,
});

const opened = (more: Partial<ChildSpec> = {}) => {
  const one = createDriver<ChildContext, ChildEffect>(child);
  let now = 0;
  const take = (type: string, at = now, fields: Record<string, unknown> = {}) => {
    now = at;
    return one.take({ type, at, random: 0.5, ...fields } as { type: string });
  };
  const first = take('child.open', 0, { spec: spec(more) });
  return {
    one,
    take,
    first,
    state: () => one.standing().value,
    wake: () => take('deadline', one.standing().context.deadline ?? now),
  };
};

test('it is started, runs, and is started again after a pause when it exits', () => {
  const { take, first, state, wake, one } = opened();
  assert.equal(first, [{ type: 'start', id: 'shard-0', incarnation: 1, rebuild: false }]);
  assert.equal(take('child.ready'), [{ type: 'report', id: 'shard-0', state: 'running', reason: null, restarts: 0 }]);
  assert.equal(take('child.exited', 100, { reason: 'out of memory' }), [
    { type: 'report', id: 'shard-0', state: 'restarting', reason: 'out of memory', restarts: 1 },
  ]);
  assert.is(one.standing().context.deadline, 150);
  assert.equal(take('deadline', 149), [], 'never early');
  assert.equal(wake(), [{ type: 'start', id: 'shard-0', incarnation: 2, rebuild: false }]);
  assert.is(state(), 'starting');
});

test('one restart too many in the window fails it; outside the window it does not', () => {
  const { take, state, wake } = opened();
  for (let n = 0; n < 3; n++) {
    take('child.exited', undefined, { reason: 'crash' });
    wake();
  }
  assert.equal(take('child.exited', 1_000, { reason: 'crash' }), [
    { type: 'report', id: 'shard-0', state: 'failed', reason: 'crash', restarts: 3 },
  ]);
  assert.is(state(), 'failed');
  const patient = opened();
  for (let n = 0; n < 20; n++) {
    patient.take('child.exited', n * 4_000, { reason: 'crash' });
    patient.wake();
  }
  assert.is(patient.state(), 'starting');
});

test('a pool is rebuilt with longer and longer pauses instead', () => {
  const { take, state, wake, one } = opened({ beyond: 'rebuild', limits: { max_restarts: 0, max_seconds: 60 } });
  const pauses: number[] = [];
  for (let n = 0; n < 7; n++) {
    const at = n * 100_000;
    take('child.exited', at, { reason: 'cannot load' });
    assert.is(state(), 'rebuilding');
    pauses.push((one.standing().context.deadline as number) - at);
    const [effect] = wake();
    assert.ok(effect?.type === 'start' && effect.rebuild);
  }
  assert.equal(pauses, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
});

test('once it lives long enough for a restart, its next rebuild begins with a short pause again', () => {
  const { take, state, wake, one } = opened({ beyond: 'rebuild', limits: { max_restarts: 1, max_seconds: 60 } });
  const lose = (at: number) => {
    take('child.exited', at, { reason: 'crash' });
    return [state(), (one.standing().context.deadline as number) - at];
  };
  const seen = [0, 1_000, 10_000, 100_000, 101_000].map((at) => {
    const what = lose(at);
    wake();
    return what;
  });
  assert.equal(seen, [
    ['restarting', 50],
    ['rebuilding', 500],
    ['rebuilding', 1_000],
    ['restarting', 50],
    ['rebuilding', 500],
  ]);
});

test('what is unresponsive is killed, and counts as gone even when it never says that it exited', () => {
  const { take, state, wake } = opened();
  take('child.ready');
  assert.equal(take('child.unresponsive', 50), [{ type: 'kill', id: 'shard-0', incarnation: 1 }]);
  assert.equal(wake(), [
    { type: 'report', id: 'shard-0', state: 'restarting', reason: 'it was unresponsive', restarts: 1 },
  ]);
  wake();
  assert.equal(take('child.exited', undefined, { reason: 'late', incarnation: 1 }), [], 'the old one is nobody’s news');
  assert.is(state(), 'starting');
  wake();
  assert.is(state(), 'killing', 'not ready in time');
});

test('it stops from anywhere within its deadlines', () => {
  const { take, state, wake } = opened();
  assert.equal(take('child.stop'), [{ type: 'kill', id: 'shard-0', incarnation: 1 }]);
  wake();
  assert.is(state(), 'stopped');
  const pausing = opened();
  pausing.take('child.exited', 1, { reason: 'crash' });
  pausing.take('child.stop');
  assert.is(pausing.state(), 'stopped');
});

const arbitraryHistory = fc.array(
  fc.record({
    type: fc.constantFrom('child.ready', 'child.exited', 'child.exited', 'child.unresponsive', 'deadline', 'deadline'),
    wait: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.constant('deadline' as const)),
    random: fc.double({ min: 0, max: 0.999, noNaN: true }),
    restore: fc.boolean(),
  }),
  { maxLength: 60 },
);

test('whatever happens: never more restarts in any window than allowed, and one child at a time', () => {
  fc.assert(
    fc.property(
      arbitraryHistory,
      fc.constantFrom('fail' as const, 'rebuild' as const),
      fc.record({ max_restarts: fc.integer({ min: 0, max: 4 }), max_seconds: fc.integer({ min: 1, max: 10 }) }),
      (history, beyond, limits) => {
        const one = createDriver<ChildContext, ChildEffect>(child);
        one.take({ type: 'child.open', spec: spec({ beyond, limits }), at: 0, random: 0 } as { type: string });
        const restarts: number[] = [];
        let at = 0;
        let incarnation = 1;
        for (const { type, wait, random, restore } of history) {
          if (one.done()) break;
          if (restore) one.restore();
          const { deadline } = one.standing().context;
          at = wait === 'deadline' ? Math.max(at, deadline ?? at) : at + wait;
          for (const effect of one.take({ type, reason: 'crash', at, random } as { type: string })) {
            if (effect.type !== 'start') continue;
            assert.is(effect.incarnation, ++incarnation);
            if (!effect.rebuild) restarts.push(at);
          }
          const { value, context } = one.standing();
          assert.is(context.deadline === null, ['running', 'failed'].includes(value), 'every wait has a deadline');
        }
        for (const [index, time] of restarts.entries()) {
          const inside = restarts.slice(index).filter((later) => later - time <= limits.max_seconds * 1_000);
          assert.ok(inside.length <= limits.max_restarts, `${inside.length} restarts in ${limits.max_seconds} s`);
        }
        if (beyond === 'rebuild') assert.is.not(one.standing().value, 'failed');
      },
    ),
    { numRuns: 300 },
  );
});

test('the window forgets what is older than its length', () => {
  const limits = { max_restarts: 2, max_seconds: 1 };
  assert.equal(restartAllowed([], 0, limits), [0]);
  assert.equal(restartAllowed([0], 1_000, limits), [0, 1_000]);
  assert.is(restartAllowed([0, 500], 1_000, limits), null);
  assert.equal(restartAllowed([0, 500], 1_001, limits), [500, 1_001]);
});

test('every state is reached', () => {
  const message = (type: string, at: number, more = {}) => ({ type, at, random: 0.5, ...more });
  const limits = { max_restarts: 1, max_seconds: 1_000 };
  const paths = getShortestPaths(child, {
    events: [
      message('child.open', 0, { spec: spec({ limits }) }),
      message('child.open', 0, { spec: spec({ limits, beyond: 'rebuild' }) }),
      message('child.ready', 0),
      message('child.exited', 0, { reason: 'crash' }),
      message('child.unresponsive', 0),
      message('child.stop', 0),
      message('deadline', 50_000),
    ] as EventFromLogic<typeof child>[],
    serializeState: ({ value, context }) =>
      `${value as string} ${context.restarts.length} ${(context as Partial<ChildContext>).spec?.beyond}`,
    stopWhen: ({ context }) => context.incarnation > 3,
  });
  assert.equal([...new Set(paths.map(({ state }) => state.value))].toSorted(), Object.keys(child.states).toSorted());
});

test.run();
