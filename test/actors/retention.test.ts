import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Pruned, PrunedCounts, PruneLimits } from '../../actors/journal.ts';
import { createRetention, type Retention } from '../../actors/retention.ts';

const test = suite('retention');

const COUNTS: PrunedCounts = { sessions: 0, actors: 1, events: 0, records: 0 };
const DAY_MS = 86_400_000;

const pruned = (parts: Partial<Pruned> = {}): Pruned => ({ counts: COUNTS, unlink: [], more: false, ...parts });

interface Bench {
  readonly retention: Retention;
  /** What each call was given. */
  readonly calls: PruneLimits[];
  /** What the next calls answer; then nothing more. */
  readonly answers: (Pruned | Error)[];
  /** Delays that are waited for, and the way to their end. */
  readonly timers: { readonly delayMs: number; readonly task: () => void }[];
  readonly removed: string[];
  readonly errors: string[];
  readonly totals: PrunedCounts[];
  isReady: boolean;
  now: number;
  /** Artifacts that cannot be removed. */
  readonly stuck: Set<string>;
  /** Ends the wait that came last; all that follows from it has happened then. */
  tick(): Promise<void>;
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

const bench = (retentionMs = 7 * DAY_MS, random = 0.5): Bench => {
  const timers: Bench['timers'] = [];
  const state = { isReady: true, now: 1_000 * DAY_MS };
  const calls: PruneLimits[] = [];
  const answers: (Pruned | Error)[] = [];
  const removed: string[] = [];
  const errors: string[] = [];
  const totals: PrunedCounts[] = [];
  const stuck = new Set<string>();
  let watch = 0;
  const retention = createRetention({
    prune: async (limits) => {
      calls.push(limits);
      const answer = answers.shift() ?? pruned({ counts: { ...COUNTS, actors: 0 } });
      if (answer instanceof Error) throw answer;
      return answer;
    },
    removeArtifacts: async (execution) => {
      if (stuck.has(execution)) throw new Error('EPERM');
      removed.push(execution);
    },
    retentionMs,
    auditRetentionMs: 365 * DAY_MS,
    clock: () => state.now,
    stopwatch: () => (watch += 3),
    random: () => random,
    isReady: () => state.isReady,
    later: (task, delayMs) => {
      const timer = { delayMs, task };
      timers.push(timer);
      return () => void (timers.includes(timer) && timers.splice(timers.indexOf(timer), 1));
    },
    observer: { pruned: (counts) => totals.push(counts), error: (what) => errors.push(what) },
  });
  return Object.assign(state, {
    retention,
    calls,
    answers,
    timers,
    removed,
    errors,
    totals,
    stuck,
    tick: async () => {
      timers.pop()?.task();
      await settle();
    },
  });
};

test('a pass is calls until nothing is left, each after as long as the last one took', async () => {
  const { calls, answers, timers, totals, tick } = bench();
  assert.equal([calls.length, timers.length], [0, 1]);
  answers.push(pruned({ more: true }), pruned({ more: true }));
  await tick();
  assert.equal([calls.length, timers.map(({ delayMs }) => delayMs)], [1, [3]]);
  await tick();
  await tick();
  assert.is(calls.length, 3);
  const limits = { before: 993 * DAY_MS, auditBefore: 635 * DAY_MS, unlinked: [] };
  assert.equal(calls, [limits, limits, limits]);
  assert.is(totals.length, 3);
  // The next pass.
  assert.equal(
    timers.map(({ delayMs }) => delayMs),
    [3_600_000],
  );
});

test('the first pass comes soon, and passes of several servers come apart', async () => {
  const delays = await Promise.all(
    [0, 0.999].map(async (random) => {
      const { timers, tick } = bench(7 * DAY_MS, random);
      const [first] = timers;
      await tick();
      return [first?.delayMs, timers[0]?.delayMs].map((ms) => Math.round((ms ?? 0) / 1_000));
    }),
  );
  assert.equal(delays, [
    [30, 1_800],
    [90, 5_396],
  ]);
  assert.equal(
    bench(5_000).timers.map(({ delayMs }) => delayMs),
    [1_000],
    'a short retention',
  );
});

test('artifacts are removed once their rows are gone, and the journal hears of it in the next call', async () => {
  const { calls, answers, removed, errors, stuck, tick } = bench();
  stuck.add('exe_2');
  answers.push(pruned({ unlink: ['exe_1', 'exe_2'] }), pruned({ unlink: ['exe_2'] }));
  await tick();
  assert.equal(removed, ['exe_1']);
  await tick();
  assert.equal(
    calls.map(({ unlinked }) => unlinked),
    [[], ['exe_1']],
  );
  assert.is(errors.length, 2);
  assert.match(errors[0] ?? '', 'exe_2');
  // It is not tried for ever, but again in the next pass.
  stuck.clear();
  answers.push(pruned({ unlink: ['exe_2'] }));
  await tick();
  await tick();
  assert.equal(removed, ['exe_1', 'exe_2']);
  assert.equal(calls.at(-1)?.unlinked, ['exe_2']);
});

test('nothing is asked of a store that takes no writes, and a pass ends where it fails', async () => {
  const on = bench();
  on.isReady = false;
  await on.tick();
  assert.is(on.calls.length, 0);
  on.isReady = true;
  on.answers.push(pruned({ more: true }), pruned({ more: true }));
  await on.tick();
  assert.is(on.calls.length, 1);
  on.isReady = false;
  await on.tick();
  assert.is(on.calls.length, 1, 'in the middle of a pass');
  on.isReady = true;
  on.answers.splice(0, 2, new Error('the disk is full'));
  await on.tick();
  assert.is(on.errors.length, 1);
  // It tries again sooner than the next pass would come.
  assert.equal(
    on.timers.map(({ delayMs }) => delayMs),
    [60_000],
  );
  on.now += DAY_MS;
  await on.tick();
  assert.is(on.calls.at(-1)?.before, 994 * DAY_MS);
});

test('closing waits for the call that is under way and calls off what was to come', async () => {
  const idle = bench();
  await idle.retention.close();
  assert.is(idle.timers.length, 0);

  const { retention, calls, answers, timers, tick } = bench();
  answers.push(pruned({ more: true }), pruned({ more: true }));
  await tick();
  assert.is(calls.length, 1);
  await retention.close();
  await settle();
  assert.equal([calls.length, timers.length], [1, 0]);
  await retention.close();
});

test.run();
