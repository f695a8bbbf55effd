import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFairQueue } from '../../../src/gateway/fair-queue.ts';

/** A queue whose jobs end when they are told to. */
const scene = (limits: { perKey: number; total: number }) => {
  const queue = createFairQueue(limits);
  const [started, dropped]: [string[], string[]] = [[], []];
  const running = new Map<string, () => void>();
  return {
    started,
    dropped,
    running,
    clear: () => queue.clear(),
    add: (name: string) =>
      queue.add(name.charAt(0), {
        start: () =>
          new Promise<void>((resolve) => {
            started.push(name);
            running.set(name, resolve);
          }),
        drop: () => void dropped.push(name),
      }),
    end: async (name: string) => {
      running.get(name)?.();
      running.delete(name);
      await setImmediate();
    },
  };
};

const test = suite('fair queue');

test('a key takes no more than its places, and no other waits for it', () => {
  const { add, started } = scene({ perKey: 2, total: 10 });
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1']) add(name);
  assert.equal(started, ['a1', 'a2', 'b1']);
});

test('keys that wait take turns, whoever came with how many', async () => {
  const { add, started, end } = scene({ perKey: 9, total: 1 });
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) add(name);
  for (let n = 0; n < 7; n += 1) await end(started.at(-1) as string);
  assert.equal(started, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
});

test('what waits can be dropped; what is under way goes on, and what comes later is taken', async () => {
  const { add, started, dropped, end, clear } = scene({ perKey: 1, total: 2 });
  for (const name of ['a1', 'a2', 'b1', 'b2', 'c1']) add(name);
  clear();
  assert.equal(
    [started, dropped],
    [
      ['a1', 'b1'],
      ['a2', 'b2', 'c1'],
    ],
  );
  add('a3');
  await end('a1');
  assert.equal(started, ['a1', 'b1', 'a3']);
});

test('a key whose turn was near when the queue was emptied waits like any other afterwards', async () => {
  const { add, started, end, clear } = scene({ perKey: 2, total: 1 });
  for (const name of ['a1', 'a2']) add(name);
  clear();
  add('a3');
  await end('a1');
  assert.equal(started, ['a1', 'a3']);
});

test('keeps its bounds, the order within a key, and every job, and never idles while a job could run', async () => {
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.record({ add: fc.constantFrom('a', 'b', 'c', 'd') }) },
    { weight: 6, arbitrary: fc.record({ end: fc.nat() }) },
    { weight: 1, arbitrary: fc.constant('clear' as const) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(action),
      async (...given) => {
        const [perKey, total, actions] = given;
        const { add, started, dropped, running, end, clear } = scene({ perKey, total });
        const added: string[] = [];
        const underWay = (key: string): number => [...running.keys()].filter((name) => name.startsWith(key)).length;
        const holds = (): void => {
          assert.ok(running.size <= total);
          for (const key of 'abcd') {
            assert.ok(underWay(key) <= perKey);
            const of = (names: readonly string[]): string[] => names.filter((name) => name.startsWith(key));
            const kept = of(added).filter((name) => !dropped.includes(name));
            assert.equal(of(started), kept.slice(0, of(started).length));
            const waits = kept.length > of(started).length;
            assert.not.ok(waits && running.size < total && underWay(key) < perKey, 'idles');
          }
        };
        for (const step of actions) {
          if (step === 'clear') clear();
          else if ('add' in step) {
            const name = `${step.add}${added.length}`;
            added.push(name);
            add(name);
          } else if (running.size > 0) await end([...running.keys()][step.end % running.size] as string);
          holds();
        }
        while (running.size > 0) await end([...running.keys()][0] as string);
        assert.equal([...started, ...dropped].toSorted(), added.toSorted());
      },
    ),
    { numRuns: 100 },
  );
});

test.run();
