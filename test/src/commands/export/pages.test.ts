import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createPageBuilder } from '../../../../actors/event-page.ts';
import { ProblemError } from '../../../../machines/error.ts';
import type { SessionHistory } from '../../../../machines/history.ts';
import { pagesOf, wantedOf } from '../../../../src/commands/export/pages.ts';

const test = suite('pages of an export');

const NEVER = new AbortController().signal;

/** A log that grows by some events with each page that is read. */
const growing = (first: number, last: number, limit: number, grows: number): Pick<SessionHistory, 'page'> => {
  let end = last;
  return {
    page: async (after, types) => {
      const builder = createPageBuilder(after, limit);
      for (let seq = Math.max(first, after + 1); seq <= end; seq++) {
        if (types !== undefined && seq % 3 !== 0) builder.pass(seq);
        else if (!builder.add(seq, JSON.stringify({ seq }))) break;
      }
      const page = builder.finish(first, end);
      end += grows;
      return page;
    },
  };
};

const read = async (pages: AsyncIterable<readonly string[]>): Promise<number[]> => {
  const seqs: number[] = [];
  for await (const events of pages) seqs.push(...events.map((event) => (JSON.parse(event) as { seq: number }).seq));
  return seqs;
};

test('every wanted event once, in order, and none beyond the end, however the log grows', async () => {
  const small = fc.nat({ max: 40 });
  await fc.assert(
    fc.asyncProperty(
      small,
      small,
      small,
      small,
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      async (from, size, a, b, limit, some) => {
        const first = from + 1;
        const last = from + size;
        const range = wantedOf({ first, last }, { after: from + a, until: b + from });
        const told: number[] = [];
        const wanted = { ...range, types: some ? ['x'] : undefined };
        const seqs = await read(pagesOf(growing(first, last, limit, 2), wanted, NEVER, (seq) => told.push(seq)));
        const all = Array.from({ length: last + 1 }, (_, seq) => seq);
        const until = Math.min(last, b + from);
        assert.equal(
          seqs,
          all.filter((seq) => seq > from + a && seq <= until && seq >= first && (!some || seq % 3 === 0)),
        );
        assert.equal(
          told,
          told.toSorted((x, y) => x - y),
        );
        if (range.after < range.until) assert.is(told.at(-1), range.until);
      },
    ),
  );
});

test('from the first that is left; a cursor from before it has expired', () => {
  assert.equal(wantedOf({ first: 5, last: 9 }, {}), { after: 4, until: 9 });
  assert.equal(wantedOf({ first: 5, last: 9 }, { after: 4 }), { after: 4, until: 9 });
  assert.equal(wantedOf({ first: 5, last: 9 }, { after: 50, until: 60 }), { after: 9, until: 9 });
  try {
    wantedOf({ first: 5, last: 9 }, { after: 3 });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ProblemError);
    assert.equal(
      [(error as ProblemError).problem.code, (error as ProblemError).problem['first']],
      ['cursor_expired', 5],
    );
  }
});

test('overtaken by retention it fails in a way that another attempt mends', async () => {
  const history = growing(10, 20, 5, 0);
  const error = await read(pagesOf(history, { after: 3, until: 20 }, NEVER, () => {})).catch(
    (caught: unknown) => caught,
  );
  assert.instance(error, Error);
  assert.not.instance(error, ProblemError);
});

test('it ends with its signal', async () => {
  const stop = new AbortController();
  const pages = pagesOf(growing(1, 100, 5, 0), { after: 0, until: 100 }, stop.signal, (seq) => {
    if (seq >= 20) stop.abort(new Error('enough'));
  });
  await read(pages).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'enough'),
  );
});

test.run();
