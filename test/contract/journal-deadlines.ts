import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Deadline, Journal } from '../../actors/journal.ts';
import { applyAll, createWriter, executionKey, sessionKey } from './journal-turns.ts';

/** The part of the journal's contract about deadlines. */
export const journalDeadlinesContract = (
  test: Test,
  withPlace: (run: (journal: Journal, place: { open(): Promise<Journal> }) => Promise<void>) => () => Promise<void>,
): void => {
  test(
    'the deadlines of a shard are read page by page, in order of time and key, as of the last commit',
    withPlace(async (journal) => {
      const [a, b] = [await createWriter(journal, 1), await createWriter(journal, 2)];
      const [first, second, third] = [executionKey(1, 1), sessionKey(1), executionKey(2, 3)] as const;
      await a.commit({
        actors: [
          { key: third, deadline: 1000 },
          { key: second, deadline: 1000 },
          { key: first, deadline: 1000 },
          { key: executionKey(1, 4), deadline: 500 },
          { key: executionKey(1, 5), deadline: 700, done: true },
          { key: executionKey(1, 6) },
          { key: executionKey(1, 7), deadline: 3000 },
        ],
      });
      await b.commit({ actors: [{ key: executionKey(3, 8), deadline: 600 }] });
      const page = (after: Deadline, until: number, limit: number) => journal.deadlines(1, { after, until, limit });
      assert.equal(await page(['', -1], 2000, 2), [
        [executionKey(1, 4), 500],
        [first, 1000],
      ]);
      await applyAll(journal);
      assert.equal(await page([first, 1000], 2000, 2), [
        [second, 1000],
        [third, 1000],
      ]);
      assert.equal(await page([third, 1000], 2000, 2), []);
      assert.equal(await page([third, 1000], 3000, 2), [[executionKey(1, 7), 3000]]);
      assert.equal(await page(['\uffff', 1000], 3000, 2), [[executionKey(1, 7), 3000]], 'behind every key of a time');
      assert.equal(await page(['', 1000], 999, 2), []);
      await a.commit({
        actors: [
          { key: first, deadline: 2500 },
          { key: second },
          { key: third, deadline: 1000, done: true },
          { key: executionKey(1, 6), deadline: 900 },
        ],
      });
      assert.equal(await page(['', 500], 2500, 10), [
        [executionKey(1, 4), 500],
        [executionKey(1, 6), 900],
        [first, 2500],
      ]);
      assert.equal(await journal.deadlines(3, { after: ['', -1], until: 9000, limit: 10 }), []);
    }),
  );
};
