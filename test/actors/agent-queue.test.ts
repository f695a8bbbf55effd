import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createAgentQueue, type Waiting } from '../../actors/agent-queue.ts';

const test = suite('agent-queue');

type Step =
  | readonly ['add', session: number, priority: number]
  | readonly ['take']
  | readonly ['remove', index: number];

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant('add' as const), fc.nat(3), fc.nat(2)) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('take' as const)) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('remove' as const), fc.nat(20)) },
  ),
  { maxLength: 200, size: 'max' },
);

/** The rule as plainly as it can be said: lists of sessions' lists, the turn goes to the back; the eighth is a lower one's. */
const createModel = () => {
  const levels = new Map<number, [session: string, own: Waiting[]][]>();
  const served = new Map<number, number>();
  let takes = 0;
  const tidy = (): void => {
    for (const [priority, sessions] of levels)
      levels.set(
        priority,
        sessions.filter(([, own]) => own.length > 0),
      );
  };
  return {
    add: (waiting: Waiting): void => {
      const sessions = levels.get(waiting.priority) ?? [];
      if (sessions.length === 0) served.set(waiting.priority, takes);
      levels.set(waiting.priority, sessions);
      const own = sessions.find(([session]) => session === waiting.place.session);
      if (own === undefined) sessions.push([waiting.place.session, [waiting]]);
      else own[1].push(waiting);
    },
    take: (): Waiting | null => {
      const open = [...levels.keys()].filter((each) => levels.get(each)?.length).toSorted((a, b) => b - a);
      const lower = open.slice(1).toSorted((a, b) => (served.get(a) as number) - (served.get(b) as number) || b - a);
      const priority = (takes + 1) % 8 === 0 ? (lower[0] ?? open[0]) : open[0];
      if (priority === undefined) return null;
      takes += 1;
      served.set(priority, takes);
      const sessions = levels.get(priority) ?? [];
      const turn = sessions.shift() as [string, Waiting[]];
      const first = turn[1].shift() as Waiting;
      sessions.push(turn);
      tidy();
      return first;
    },
    remove: (execution: string): void => {
      for (const sessions of levels.values()) {
        for (const each of sessions) each[1] = each[1].filter((waiting) => waiting.execution !== execution);
      }
      tidy();
    },
  };
};

test('does what its model does', () => {
  fc.assert(
    fc.property(steps, (all: Step[]) => {
      const queue = createAgentQueue();
      const model = createModel();
      const waiting = new Set<string>();
      for (const [n, step] of all.entries()) {
        if (step[0] === 'add') {
          const added = { execution: `exe_${n}`, place: { session: `ses_${step[1]}` as never }, priority: step[2] };
          queue.add(added);
          queue.add(added);
          model.add(added);
          waiting.add(added.execution);
        } else if (step[0] === 'take') {
          const taken = queue.take();
          assert.equal(taken, model.take());
          if (taken !== null) waiting.delete(taken.execution);
        } else {
          const execution = `exe_${step[1]}`;
          assert.is(queue.remove(execution), waiting.delete(execution));
          model.remove(execution);
        }
        assert.is(queue.size(), waiting.size);
      }
    }),
  );
});

test('whatever others put before it, a command waits for no more than a turn of each session, and eight of each priority', () => {
  const flood = fc.array(fc.tuple(fc.nat(4), fc.integer({ min: -2, max: 2 })), { maxLength: 6 });
  fc.assert(
    fc.property(
      fc.integer({ min: -2, max: 2 }),
      fc.array(fc.tuple(fc.nat(4), fc.integer({ min: -2, max: 2 })), { maxLength: 300, size: 'max' }),
      fc.array(flood, { minLength: 1, maxLength: 20 }),
      (priority, before, floods) => {
        const queue = createAgentQueue();
        let n = 0;
        const add = (session: number, at: number): void =>
          queue.add({ execution: `exe_${n++}`, place: { session: `ses_${session}` as never }, priority: at });
        for (const [session, at] of before) add(session, at);
        queue.add({ execution: 'exe_lone', place: { session: 'ses_lone' as never }, priority });
        // Five sessions and itself at its own priority, five priorities, one in eight takes for the lower ones.
        const most = 6 * 5 * 8;
        let taken = 0;
        for (let round = 0; queue.take()?.execution !== 'exe_lone'; round++) {
          taken += 1;
          assert.ok(taken < most, `taken after ${taken} others`);
          for (const [session, at] of floods[round % floods.length] ?? []) add(session, at);
        }
      },
    ),
  );
});

test('a flood at the same priority costs the others one turn each', () => {
  const queue = createAgentQueue();
  const add = (execution: string, session: string): void =>
    queue.add({ execution, place: { session: session as never }, priority: 0 });
  for (let n = 0; n < 1_000; n++) add(`exe_${n}`, 'ses_flood');
  for (let n = 0; n < 10; n++) assert.is(queue.take()?.place.session, 'ses_flood');
  add('exe_lone', 'ses_lone');
  assert.equal([queue.take()?.execution, queue.take()?.execution], ['exe_10', 'exe_lone']);
});

test('takes past the turns whom it is asked for', () => {
  const queue = createAgentQueue();
  for (let n = 0; n < 3; n++)
    queue.add({ execution: `exe_${n}`, place: { session: `ses_${n}` as never }, priority: n });
  assert.is(queue.takeWhere((session) => session !== 'ses_2')?.execution, 'exe_1');
  assert.is(
    queue.takeWhere((session) => session === 'ses_9'),
    null,
  );
  assert.equal([queue.take()?.execution, queue.take()?.execution, queue.size()], ['exe_2', 'exe_0', 0]);
});

test.run();
