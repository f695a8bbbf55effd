import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError } from '../../../machines/error.ts';
import type { Event } from '../../../machines/event.ts';
import { createEventMerge, type EventMerge } from '../../../src/client/event-merge.ts';

const test = suite('event merge');

const event = (seq: number): Event => ({ seq }) as Event;
const range = (from: number, to: number): Event[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => event(from + i));

const drain = (merge: EventMerge): number[] => {
  const seqs: number[] = [];
  for (let next = merge.shift(); next !== undefined; next = merge.shift()) seqs.push(next.seq);
  return seqs;
};

test('begins behind, and stands at what it was given', () => {
  const merge = createEventMerge({ after: 7, capacity: 10 });
  assert.is(merge.isBehind, true);
  assert.is(merge.position, 7);
  merge.page({ events: range(8, 9), next: null });
  assert.is(merge.isBehind, false);
  assert.equal(drain(merge), [8, 9]);
});

test('an event beyond the next one is not taken but read from the log', () => {
  const merge = createEventMerge({ after: 0, capacity: 10 });
  merge.page({ events: [], next: null });
  merge.live(event(3));
  assert.is(merge.isBehind, true);
  assert.equal(drain(merge), []);
  merge.page({ events: range(1, 2), next: null });
  assert.is(merge.isBehind, true, 'the page was older than what is known');
  merge.page({ events: range(3, 3), next: null });
  assert.is(merge.isBehind, false);
  assert.equal(drain(merge), [1, 2, 3]);
});

test('a hole in the log is an error, not a gap in the sequence', () => {
  const merge = createEventMerge({ after: 0, capacity: 10 });
  assert.throws(
    () => merge.page({ events: [event(1), event(3)], next: null }),
    (error: unknown) => error instanceof ProblemError && error.problem.code === 'internal',
  );
  assert.equal(drain(merge), [1]);
});

test('holds no more than its capacity', () => {
  const merge = createEventMerge({ after: 0, capacity: 3 });
  merge.page({ events: [], next: null });
  for (const each of range(1, 100)) merge.live(each);
  assert.equal(drain(merge), [1, 2, 3]);
  assert.is(merge.isBehind, true);
});

test('what it knows already does not send it to the log', () => {
  const merge = createEventMerge({ after: 2, capacity: 3 });
  merge.page({ events: [], next: null });
  merge.live(event(2));
  assert.is(merge.isBehind, false);
});

test('a page that does not fit leaves it behind, whenever it comes', () => {
  const merge = createEventMerge({ after: 0, capacity: 3 });
  merge.page({ events: [], next: null });
  merge.page({ events: range(1, 5), next: null });
  assert.is(merge.isBehind, true);
  assert.equal(drain(merge), [1, 2, 3]);
});

/** One thing that happens to a reader; numbers are drawn against the log as it is by then. */
type Step =
  | { readonly do: 'grow'; readonly by: number }
  | { readonly do: 'live'; readonly back: number }
  | { readonly do: 'page'; readonly back: number; readonly limit: number }
  | { readonly do: 'lost' }
  | { readonly do: 'read'; readonly count: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('grow' as const), by: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ do: fc.constant('live' as const), back: fc.nat(6) }),
  fc.record({ do: fc.constant('page' as const), back: fc.nat(5), limit: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ do: fc.constant('lost' as const) }),
  fc.record({ do: fc.constant('read' as const), count: fc.integer({ min: 1, max: 5 }) }),
);

test('whatever comes in whatever order, the sequence is dense and whole', () => {
  fc.assert(
    fc.property(
      fc.nat(5),
      fc.integer({ min: 1, max: 8 }),
      fc.array(step, { maxLength: 120 }),
      (after, capacity, steps) => {
        const merge = createEventMerge({ after, capacity });
        const got: number[] = [];
        let last = after;
        const pageAfter = (from: number, limit: number) => {
          const to = Math.min(last, from + limit);
          return { events: range(from + 1, to), next: to < last ? to : null };
        };
        const read = (count: number): void => {
          for (let i = 0; i < count; i += 1) {
            const next = merge.shift();
            if (next !== undefined) got.push(next.seq);
          }
        };
        for (const each of steps) {
          // Events may be late, early, doubled or left out; pages may have been asked for long ago.
          if (each.do === 'grow') last += each.by;
          else if (each.do === 'live' && last - each.back > 0) merge.live(event(last - each.back));
          else if (each.do === 'page') merge.page(pageAfter(Math.max(0, merge.position - each.back), each.limit));
          else if (each.do === 'lost') merge.lost();
          else if (each.do === 'read') read(each.count);
          assert.ok(merge.position <= last);
        }
        merge.lost();
        for (let rounds = 0; merge.isBehind; rounds += 1) {
          assert.ok(rounds < 2 * last + 10, 'it never catches up');
          read(capacity);
          merge.page(pageAfter(merge.position, 4));
        }
        read(capacity);
        assert.equal(
          got,
          range(after + 1, last).map(({ seq }) => seq),
        );
      },
    ),
    { numRuns: 500 },
  );
});

test.run();
