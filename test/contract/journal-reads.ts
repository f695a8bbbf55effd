import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Journal } from '../../actors/journal.ts';
import {
  allEvents,
  applyAll,
  createWriter,
  executionId,
  executionKey,
  sessionId,
  sessionKey,
} from './journal-turns.ts';

/** What every adapter's reads keep. Adds its tests to `test`; `withPlace` opens a journal for each. */
export const journalReadsContract = (
  test: Test,
  withPlace: (run: (journal: Journal, place: { open(): Promise<Journal> }) => Promise<void>) => () => Promise<void>,
): void => {
  test(
    'events come in pages, in order, and `next` is null only at the end',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      const session = sessionId(1);
      const none = { events: [], next: null, first: 1, last: 0 };
      assert.equal(await journal.reads.events(session, { after: 0, limit: 10 }), none);
      for (let seq = 1; seq <= 10; seq += 2) {
        await writer.commit({
          events: [
            [session, seq, 'execution_started'],
            [session, seq + 1, 'execution_failed'],
          ],
        });
        if (seq === 5) await applyAll(journal);
      }
      const seqs = (events: readonly string[]): number[] =>
        events.map((event) => (JSON.parse(event) as { seq: number }).seq);
      const page = await journal.reads.events(session, { after: 0, limit: 3 });
      assert.equal([seqs(page.events), page.next, page.first, page.last], [[1, 2, 3], 3, 1, 10]);
      const rest = await journal.reads.events(session, { after: 3, limit: 7 });
      assert.equal([seqs(rest.events), rest.next], [[4, 5, 6, 7, 8, 9, 10], null]);
      const failed = await journal.reads.events(session, { after: 1, limit: 2, types: ['execution_failed', 'x'] });
      assert.equal(seqs(failed.events), [2, 4]);
      assert.ok(
        failed.next === 4 || failed.next === 5,
        `next ${failed.next} is behind what was given and before seq 6`,
      );
      assert.equal(
        seqs(await allEvents(journal, session, { limit: 2, types: ['execution_failed'] })),
        [2, 4, 6, 8, 10],
      );
      const absent = await journal.reads.events(session, { after: 0, limit: 2, types: ['session_closed'] });
      assert.equal([absent.events, absent.next], [[], null]);
      const end = await journal.reads.events(session, { after: 10, limit: 5 });
      assert.equal([end.events, end.next, end.first, end.last], [[], null, 1, 10]);
    }),
  );

  test(
    'a page of events holds at most 1,000 of them and 1 MiB of text, but always one',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      const add = (session: string, count: number, text: string): Promise<unknown> =>
        writer.commit({
          events: Array.from({ length: count }, (_, index) => [session, index + 1, 'execution_output', text] as const),
        });
      await add(sessionId(1), 1_200, '');
      await add(sessionId(2), 30, 'x'.repeat(60_000));
      await add(sessionId(3), 2, 'x'.repeat(1_200_000));
      const sizes = async (n: number): Promise<readonly [number, number | null]> => {
        const { events, next } = await journal.reads.events(sessionId(n), { after: 0, limit: 5_000 });
        return [events.length, next];
      };
      assert.equal(await sizes(1), [1_000, 1_000]);
      assert.equal(await sizes(2), [17, 17]);
      assert.equal(await sizes(3), [1, 1]);
      for (const [n, count] of [
        [1, 1_200],
        [2, 30],
        [3, 2],
      ] as const) {
        assert.is((await allEvents(journal, sessionId(n), { limit: 1_000 })).length, count);
      }
    }),
  );

  test(
    'actors are found by key, by id, by kind and by label',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      const order = [4, 2, 5, 1, 3];
      await writer.commit({
        actors: order.flatMap((n) => [
          { key: sessionKey(n), state: 'active', label: n === 3 ? 'bob' : 'alice', context: { n } },
          { key: executionKey(1, n), done: n === 2 },
        ]),
      });
      assert.equal(await journal.reads.actor(sessionKey(4)), {
        key: sessionKey(4),
        session: sessionId(4),
        kind: 'session',
        id: sessionId(4),
        state: 'active',
        done: false,
        context: { n: 4 },
      });
      assert.is(await journal.reads.actor(sessionKey(9)), null);
      assert.is((await journal.reads.find('execution', executionId(2)))?.key, executionKey(1, 2));
      assert.is((await journal.reads.find('execution', executionId(2)))?.done, true);
      assert.is(await journal.reads.find('session', executionId(2)), null);
      const ids = async (found: Promise<readonly { id: string }[]>): Promise<string[]> =>
        (await found).map(({ id }) => id);
      const executions = (page: { after?: string; limit: number }) =>
        ids(journal.reads.actors(sessionId(1), 'execution', page));
      assert.equal(await executions({ limit: 3 }), [1, 2, 3].map(executionId));
      assert.equal(await executions({ after: executionId(3), limit: 3 }), [4, 5].map(executionId));
      assert.equal(await ids(journal.reads.actors(sessionId(2), 'execution', { limit: 3 })), []);
      const owned = (label: string, page: { after?: string; limit: number }) =>
        ids(journal.reads.labelled('session', label, page));
      assert.equal(await owned('alice', { limit: 3 }), [1, 2, 4].map(sessionId));
      assert.equal(await owned('alice', { after: sessionId(4), limit: 3 }), [sessionId(5)]);
      await writer.commit({ actors: [{ key: sessionKey(4), label: 'bob' }] });
      assert.equal(await owned('alice', { limit: 9 }), [1, 2, 5].map(sessionId));
      assert.equal(await owned('bob', { limit: 9 }), [3, 4].map(sessionId));
    }),
  );

  test(
    'an actor is found by any alias it was ever given, and an alias stays with the first that has it',
    withPlace(async (journal, place) => {
      const writer = await createWriter(journal, 1);
      const ids = async (from: Journal): Promise<unknown[]> => {
        const found = await Promise.all(['a', 'b', 'c', 'd', ''].map((alias) => from.reads.alias(alias)));
        return found.map((actor) => actor?.id ?? null);
      };
      assert.equal(await ids(journal), [null, null, null, null, null]);
      const execution = { key: executionKey(2, 1), state: 'running', label: 'x', context: { n: 2 } };
      await writer.commit({
        actors: [
          { key: sessionKey(1), aliases: ['a', 'b'] },
          { ...execution, aliases: ['b', 'c'] },
        ],
      });
      // In the log, not in the tables.
      assert.equal(await journal.reads.alias('c'), {
        key: executionKey(2, 1),
        session: sessionId(2),
        kind: 'execution',
        id: executionId(1),
        state: 'running',
        done: false,
        context: { n: 2 },
      });
      await writer.commit({ actors: [{ key: sessionKey(1), aliases: ['d'] }] });
      await writer.commit({ actors: [{ key: sessionKey(1), done: true }] });
      await writer.commit({ actors: [{ key: sessionKey(3), aliases: ['a', 'd'] }] });
      const expected = [sessionId(1), sessionId(1), executionId(1), sessionId(1), null];
      assert.equal(await ids(journal), expected);
      assert.is((await journal.reads.alias('d'))?.done, true);
      await writer.commit({ actors: [{ key: sessionKey(3), aliases: ['b', 'c'] }] });
      await journal.close();
      const again = await place.open();
      assert.equal(await ids(again), expected);
      await again.close();
    }),
  );
};
