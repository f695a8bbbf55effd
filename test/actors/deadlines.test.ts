import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDeadlines, type Deadlines } from '../../actors/deadlines.ts';
import type { Deadline, DeadlinePage } from '../../actors/journal.ts';

const test = suite('deadlines');

const HORIZON_MS = 20;
const WINDOW = 2;
const RETRY_MS = 3;

/** A journal that takes turns and questions in the order in which they are sent, each when it is told to go on. */
const createStore = () => {
  const stored = new Map<string, number>();
  const sent: (() => void)[] = [];
  const answers: (readonly Deadline[])[] = [];
  const read = ({ after, until, limit }: DeadlinePage): readonly Deadline[] =>
    [...stored]
      .filter(([key, at]) => at <= until && (at > after[1] || (at === after[1] && key > after[0])))
      .toSorted(([a, atA], [b, atB]) => atA - atB || (a < b ? -1 : 1))
      .slice(0, limit);
  return {
    stored,
    commit: (key: string, at: number | null) =>
      void sent.push(() => (at === null ? stored.delete(key) : stored.set(key, at))),
    ask: (page: DeadlinePage) => void sent.push(() => answers.push(read(page))),
    /** The oldest that was sent arrives. */
    goOn: () => sent.shift()?.(),
    answer: () => answers.shift(),
    isIdle: () => sent.length + answers.length === 0,
  };
};

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const key = fc.constantFrom(...KEYS);
/** Often the same, so that many are due at one time; often beyond the horizon, or behind now. */
const inMs = fc.oneof(fc.constantFrom(-5, 0, 10, 30), fc.integer({ min: 1, max: 60 }));
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('set' as const), key, inMs: fc.option(inMs) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('go on' as const) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('run' as const), limit: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('answer' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 25 }) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('throw' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const) }) },
);

test('each deadline comes once, never early, wherever it was when it was set and whatever was under way', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, fc.nat({ max: 60 })), { maxLength: 9 }),
      fc.array(step, { maxLength: 60 }),
      (before, steps) => {
        let store = createStore();
        for (const [name, at] of before) store.stored.set(name, at);
        const deadlines: Deadlines = createDeadlines({ horizonMs: HORIZON_MS, deadlineWindow: WINDOW });
        /** As the actors have it. */
        const truth = new Map(store.stored);
        const throwing = new Set<string>();
        const retriedAt = new Map<string, number>();
        let now = 30;

        const set = (name: string, at: number | null): void => {
          if (at === null) truth.delete(name);
          else truth.set(name, at);
          store.commit(name, at);
          deadlines.set(name, at);
        };
        const run = (limit: number): void => {
          for (const name of deadlines.due(now, limit)) {
            assert.ok((truth.get(name) ?? Infinity) <= now, `${name} comes too early, or again`);
            if (throwing.delete(name)) {
              deadlines.retry(name, now + RETRY_MS);
              retriedAt.set(name, now + RETRY_MS);
            } else set(name, null);
          }
          const page = deadlines.ask(now);
          if (page !== null) store.ask(page);
        };
        const settle = (): void => {
          for (let rounds = 0; rounds < 200; rounds++) {
            run(3);
            const isDone = store.isIdle();
            store.goOn();
            const answer = store.answer();
            if (answer !== undefined) deadlines.answer(answer);
            if (isDone) return;
          }
          assert.unreachable('it asks without end');
        };

        for (const each of steps) {
          if (each.type === 'set') set(each.key, each.inMs === null ? null : now + each.inMs);
          else if (each.type === 'go on') store.goOn();
          else if (each.type === 'run') run(each.limit);
          else if (each.type === 'pass') now += each.ms;
          else if (each.type === 'throw') throwing.add(each.key);
          else if (each.type === 'answer') {
            const answer = store.answer();
            if (answer !== undefined) deadlines.answer(answer);
          } else {
            // The epoch is closed: what was sent arrives, what is answered is for nobody.
            while (!store.isIdle()) {
              store.goOn();
              store.answer();
            }
            deadlines.clear();
            truth.clear();
            for (const [name, at] of store.stored) truth.set(name, at);
          }
        }
        throwing.clear();
        // From here on it wakes by itself only.
        settle();
        for (let next = deadlines.next(); truth.size > 0; next = deadlines.next()) {
          assert.ok(next !== null, 'it is told when to look again');
          now = Math.max(now + 1, next);
          settle();
          const late = [...truth].filter(([name, at]) => Math.max(at, retriedAt.get(name) ?? 0) <= now);
          assert.equal(late, [], 'nothing that has come is left');
        }
        assert.is(deadlines.count(), 0);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('what is held is bounded, however many deadlines there are and however soon they come', () => {
  const deadlines = createDeadlines({ horizonMs: 1_000, deadlineWindow: 100 });
  const store = createStore();
  for (let n = 0; n < 5_000; n++) store.stored.set(`stored ${n}`, n < 2_000 ? 500 : 500 + n);
  let held = 0;
  let taken = 0;
  let asked = 0;
  for (let now = 600; store.stored.size > 0; now += 10) {
    for (let n = 0; n < 20; n++) {
      const name = `set at ${now} ${n}`;
      if (now < 2_000) {
        store.commit(name, now + 900);
        deadlines.set(name, now + 900);
      }
    }
    for (let round = 0; round < 5; round++) {
      for (const name of deadlines.due(now, 50)) {
        taken += 1;
        store.commit(name, null);
        deadlines.set(name, null);
      }
      const page = deadlines.ask(now);
      if (page !== null) {
        asked += 1;
        store.ask(page);
      }
      while (!store.isIdle()) {
        store.goOn();
        const answer = store.answer();
        if (answer !== undefined) deadlines.answer(answer);
      }
      held = Math.max(held, deadlines.count());
    }
  }
  assert.is(taken, 5_000 + 140 * 20);
  assert.ok(held <= 200, `${held} are held`);
  assert.ok(asked <= 85, `${asked} windows for ${taken} deadlines`);
});

test('deadlines that are set to come soon are bounded as well, also where they come at one time', () => {
  for (const spread of [0, 1]) {
    const deadlines = createDeadlines({ horizonMs: 100_000, deadlineWindow: 100 });
    deadlines.ask(0);
    deadlines.answer([]);
    for (let n = 0; n < 5_000; n++) {
      deadlines.set(`key ${n}`, 500 + n * spread);
      assert.ok(deadlines.count() <= 200);
    }
    // The earliest are held, and what comes behind them is asked for.
    const first = deadlines.due(5_000, 10);
    assert.equal(first.slice(0, spread === 0 ? 0 : 2), spread === 0 ? [] : ['key 0', 'key 1']);
    assert.is(first.length, 10);
    while (deadlines.due(5_000, 100).length > 0);
    const page = deadlines.ask(5_000);
    assert.ok(page !== null && page.after[1] < 5_000);
    assert.is(deadlines.next(), null, 'only the answer says what comes next');
  }
});

test('a deadline that is tried again stays, wherever the horizon goes', () => {
  const deadlines = createDeadlines({ horizonMs: 20, deadlineWindow: 2 });
  deadlines.ask(0);
  deadlines.answer([]);
  deadlines.set('a', 5);
  assert.equal(deadlines.due(5, 10), ['a']);
  deadlines.retry('a', 8);
  for (const other of ['b', 'c', 'd', 'e']) deadlines.set(other, 6);
  assert.is(deadlines.count(), 3, 'the horizon has come nearer');
  assert.equal(deadlines.due(8, 10), ['b', 'c', 'a']);
});

test('a deadline of days is not held, and the journal is asked only now and then', () => {
  const deadlines = createDeadlines({ horizonMs: 600_000, deadlineWindow: 100 });
  const asked: number[] = [];
  for (let now = 0; now < 3_600_000; now += 1_000) {
    const page = deadlines.ask(now);
    if (page !== null) {
      asked.push(now);
      deadlines.answer([]);
    }
    deadlines.set(`session ${now}`, now + 7 * 86_400_000);
  }
  assert.is(deadlines.count(), 0);
  assert.equal(asked.slice(0, 3), [0, 300_000, 600_000]);
});

test.run();
