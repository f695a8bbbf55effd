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
  { maxLength: 200 },
);

/** The rule as plainly as it can be said: lists of sessions' lists, the turn goes to the back. */
const createModel = () => {
  const levels = new Map<number, [session: string, own: Waiting[]][]>();
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
      levels.set(waiting.priority, sessions);
      const own = sessions.find(([session]) => session === waiting.place.session);
      if (own === undefined) sessions.push([waiting.place.session, [waiting]]);
      else own[1].push(waiting);
    },
    take: (): Waiting | null => {
      const priority = [...levels.keys()].filter((each) => levels.get(each)?.length).toSorted((a, b) => b - a)[0];
      if (priority === undefined) return null;
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

test.run();
