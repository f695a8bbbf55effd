import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Attempt } from '../../actors/agent-lane.ts';
import { createAgentPending } from '../../actors/agent-pending.ts';

const test = suite('agent-pending');

const attemptOf = (name: string, session: string, since = 0): Attempt =>
  ({ run: { execution_id: name }, place: { session }, since }) as never;
const nameOf = ({ run }: Attempt): string => run.execution_id;

/** Takes so many, and tells their names. */
const take = (pending: ReturnType<typeof createAgentPending>, count: number): string[] => {
  const taken: string[] = [];
  pending.drain((attempt) => taken.length < count && taken.push(nameOf(attempt)) > 0);
  return taken;
};

test('sessions in turn, each in its order; who comes anew is not behind what another has there', () => {
  const pending = createAgentPending();
  for (let n = 0; n < 100; n++) pending.add(attemptOf(`a${n}`, 'a', n));
  pending.add(attemptOf('b0', 'b', 100));
  pending.add(attemptOf('b1', 'b', 101));
  assert.equal(take(pending, 5), ['a0', 'b0', 'a1', 'b1', 'a2']);
  pending.add(attemptOf('c0', 'c', 102));
  assert.equal(take(pending, 2), ['c0', 'a3']);
  assert.equal([pending.size(), pending.has('a'), pending.has('b'), pending.since()], [96, true, false, 4]);
});

test('what comes back is before what has not been sent, in its order', () => {
  const pending = createAgentPending();
  const all = ['a', 'b', 'a', 'b', 'a'].map((session, n) => attemptOf(`${session}${n}`, session));
  for (const attempt of all) pending.add(attempt);
  const sent: Attempt[] = [];
  pending.drain((attempt) => sent.length < 3 && sent.push(attempt) > 0);
  pending.add(attemptOf('c', 'c'));
  pending.back(sent);
  assert.equal(take(pending, 9), [...sent.map(nameOf), 'b3', 'c', 'a4']);
  assert.equal([pending.size(), pending.since(), pending.has('a')], [0, null, false]);
});

test('whatever comes, goes and comes back: none is lost, none overtakes its own session, none waits for more than the others', () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.tuple(fc.constant('add' as const), fc.nat(3)) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('take' as const), fc.nat(4)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('back' as const), fc.nat(4)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('remove' as const), fc.nat(30)) },
    ),
    { maxLength: 150, size: 'max' },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const pending = createAgentPending();
      const there = new Map<string, Attempt>();
      let sent: Attempt[] = [];
      for (const [n, [what, which]] of all.entries()) {
        if (what === 'add') {
          const attempt = attemptOf(`${n}`, `${which}`);
          there.set(`${n}`, attempt);
          pending.add(attempt);
        } else if (what === 'remove') {
          const attempt = there.get(`${which}`);
          if (attempt !== undefined) pending.remove(attempt);
          there.delete(`${which}`);
        } else if (what === 'take') {
          const turns = new Map<string, number>();
          sent = [];
          pending.drain((attempt) => {
            if (sent.length > which) return false;
            sent.push(attempt);
            const earlier = [...there.values()].find(({ place }) => place.session === attempt.place.session);
            assert.is(earlier, attempt, 'in the order of its session');
            turns.set(attempt.place.session, (turns.get(attempt.place.session) ?? 0) + 1);
            there.delete(nameOf(attempt));
            return true;
          });
        } else {
          const back = sent.slice(0, which);
          pending.back(back);
          const after = [...there];
          there.clear();
          for (const attempt of back) there.set(nameOf(attempt), attempt);
          for (const [name, attempt] of after) there.set(name, attempt);
          sent = [];
        }
        assert.is(pending.size(), there.size);
        for (const session of ['0', '1', '2', '3'])
          assert.is(
            pending.has(session),
            [...there.values()].some(({ place }) => place.session === session),
          );
      }
      assert.is(take(pending, 1_000).length, there.size);
    }),
  );
});

test.run();
