import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createOrdered } from '../../brokers/ordered.ts';

const test = suite('ordered');

interface Item {
  readonly n: number;
  /** Turns of the event loop until it has reached its subscribers; 0 is at once. */
  readonly turns: number;
}

test('items that take different times reach in the order of the calls, one at a time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(3), { minLength: 1, maxLength: 40 }), async (delays) => {
      const reached: number[] = [];
      let active = 0;
      const ordered = createOrdered<Item>((item) => {
        active++;
        assert.is(active, 1);
        const arrive = (): void => {
          active--;
          reached.push(item.n);
          ordered.reached(item);
        };
        const wait = (left: number): void => (left === 0 ? arrive() : void setImmediate(wait, left - 1));
        wait(item.turns);
      }, 1_000);
      for (const [n, turns] of delays.entries()) assert.ok(ordered.push({ n, turns }));
      while (reached.length < delays.length) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(reached, [...delays.keys()]);
    }),
    { numRuns: 50 },
  );
});

test('ten thousand that wait do not grow the stack', () => {
  const reached: number[] = [];
  const ordered = createOrdered<{ n: number }>((item) => {
    reached.push(item.n);
    if (item.n === 0) for (let n = 1; n <= 10_000; n++) ordered.push({ n });
    ordered.reached(item);
  }, 100_000);
  ordered.push({ n: 0 });
  assert.equal(
    reached,
    Array.from({ length: 10_001 }, (_, n) => n),
  );
});

test('too many that wait are refused, and it goes on with those it took', () => {
  const begun: { n: number }[] = [];
  const ordered = createOrdered<{ n: number }>((item) => void begun.push(item), 2);
  assert.equal(
    [1, 2, 3, 4].map((n) => ordered.push({ n })),
    [true, true, true, false],
  );
  for (let at = 0; at < 3; at++) ordered.reached(begun[at] as { n: number });
  assert.equal(
    begun.map(({ n }) => n),
    [1, 2, 3],
  );
  assert.ok(ordered.push({ n: 5 }));
});

test('an item that reaches a second time does not let the next one begin', () => {
  const begun: { n: number }[] = [];
  const ordered = createOrdered<{ n: number }>((item) => void begun.push(item), 10);
  for (const n of [1, 2, 3]) ordered.push({ n });
  ordered.reached(begun[0] as { n: number });
  ordered.reached(begun[0] as { n: number });
  assert.equal(
    begun.map(({ n }) => n),
    [1, 2],
  );
});

test.run();
