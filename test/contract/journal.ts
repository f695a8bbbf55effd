import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Journal, REMEMBERED_LIMIT, StoreFailedError } from '../../actors/journal.ts';
import {
  allEvents,
  applyAll,
  createWriter,
  eventText,
  executionKey,
  sessionId,
  sessionKey,
  turnText,
} from './journal-turns.ts';
import { journalAuditContract } from './journal-audit.ts';
import { journalKeysContract } from './journal-keys.ts';
import { journalPruneContract } from './journal-prune.ts';
import { journalDeadlinesContract } from './journal-deadlines.ts';
import { journalReadsContract } from './journal-reads.ts';

/** One place where a journal's data lives. */
export interface JournalPlace {
  /** Opens a journal there; at most one is open at a time. */
  open(): Promise<Journal>;
  dispose(): Promise<void>;
}

/** What every adapter of the Journal port keeps. Adds its tests under `name` and runs them. */
export const journalContract = (name: string, createPlace: () => Promise<JournalPlace>): void => {
  const test = suite(`${name}: contract`);

  const withPlace = (run: (journal: Journal, place: JournalPlace) => Promise<void>) => async () => {
    const place = await createPlace();
    const journal = await place.open();
    try {
      await run(journal, place);
    } finally {
      await journal.close();
      await place.dispose();
    }
  };

  const withReopened = async (place: JournalPlace, run: (journal: Journal) => Promise<void>): Promise<void> => {
    const journal = await place.open();
    try {
      await run(journal);
    } finally {
      await journal.close();
    }
  };

  test(
    'a first claim starts at epoch 1 with nothing',
    withPlace(async (journal) => {
      const claims = await journal.claim([3, 1]);
      const empty = { turn: 0, read: {}, sent: {}, waits: [], senders: [] };
      assert.equal(claims, [
        { shard: 3, epoch: 1, ...empty },
        { shard: 1, epoch: 1, ...empty },
      ]);
    }),
  );

  test(
    'a turn of an older epoch, of a later one, or of a shard never claimed is fenced',
    withPlace(async (journal) => {
      const zombie = await createWriter(journal, 1);
      assert.is(await zombie.commit(), 'committed');
      const owner = await createWriter(journal, 1);
      assert.is(owner.claim.epoch, 2);
      assert.is(owner.claim.turn, 1);
      assert.equal(await journal.commit([zombie.next(), turnText(1, 3, 2), turnText(2, 0, 1), turnText(2, 1, 1)]), [
        'fenced',
        'fenced',
        'fenced',
        'fenced',
      ]);
      assert.is(await owner.commit(), 'committed');
    }),
  );

  test(
    'a turn that does not follow the last is a gap, before and behind',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      assert.is(await writer.commit(), 'committed');
      assert.equal(await journal.commit([turnText(1, 1, 3), turnText(1, 1, 1)]), ['gap', 'gap']);
      assert.is(await writer.commit(), 'committed');
    }),
  );

  test(
    'a refused turn leaves no trace and does not touch the others of its group',
    withPlace(async (journal) => {
      const [a, b] = [await createWriter(journal, 1), await createWriter(journal, 2)];
      const group = [
        a.next({ events: [[sessionId(1), 1, 'session_opened']] }),
        turnText(2, 9, 1, { events: [[sessionId(2), 1, 'session_closed']], actors: [{ key: sessionKey(2) }] }),
        a.next({ events: [[sessionId(1), 2, 'client_joined']] }),
        b.next({ events: [[sessionId(2), 1, 'session_opened']] }),
        turnText(1, 1, 9, { actors: [{ key: sessionKey(1) }] }),
      ];
      assert.equal(await journal.commit(group), ['committed', 'fenced', 'committed', 'committed', 'gap']);
      assert.equal(await allEvents(journal, sessionId(1), { limit: 10 }), [
        eventText(sessionId(1), 1, 'session_opened'),
        eventText(sessionId(1), 2, 'client_joined'),
      ]);
      assert.equal(await allEvents(journal, sessionId(2), { limit: 10 }), [
        eventText(sessionId(2), 1, 'session_opened'),
      ]);
      assert.is(await journal.reads.actor(sessionKey(1)), null);
      assert.is(await journal.reads.actor(sessionKey(2)), null);
    }),
  );

  test(
    'an empty group is committed and is nothing',
    withPlace(async (journal) => {
      assert.equal(await journal.commit([]), []);
      assert.is(await journal.apply(), 0);
    }),
  );

  test(
    'epochs, turns and everything committed outlive the journal',
    withPlace(async (journal, place) => {
      const writer = await createWriter(journal, 1);
      await writer.commit({
        read: { main: 7, 2: 3 },
        actors: [{ key: sessionKey(1), state: 'active', label: 'alice', context: { a: 'ü\n' } }],
        events: [[sessionId(1), 1, 'session_opened']],
        out: [[2, 1, sessionKey(2)]],
        remembered: [[sessionId(1), 'req', '{"ok":true}']],
      });
      const loaded = await journal.load(sessionId(1));
      await journal.close();
      await withReopened(place, async (again) => {
        assert.equal(await again.load(sessionId(1)), loaded);
        const stale = await again.commit([turnText(1, 0, 2)]);
        assert.equal(stale, ['fenced']);
        const { claim } = await createWriter(again, 1);
        assert.equal(claim, {
          shard: 1,
          epoch: 2,
          turn: 1,
          read: { main: 7, 2: 3 },
          sent: { 2: 1 },
          waits: [],
          senders: [],
        });
        assert.equal(await again.commit([writer.next()]), ['fenced']);
      });
    }),
  );

  test(
    'what was sent waits until the receiver has committed that it read it',
    withPlace(async (journal) => {
      const [a, b] = [await createWriter(journal, 1), await createWriter(journal, 2)];
      await a.commit({ out: [1, 2, 3].map((n) => [2, n, sessionKey(n)] as const) });
      const out = (n: number) => ({ n, key: sessionKey(n), text: JSON.stringify({ to: 2, n, key: sessionKey(n) }) });
      assert.equal(await journal.outbox(1, 2, 0, 10), [out(1), out(2), out(3)]);
      assert.equal(await journal.outbox(1, 2, 1, 1), [out(2)]);
      assert.equal(await journal.outbox(2, 1, 0, 10), []);
      await b.commit({ read: { 1: 2 } });
      assert.equal(await journal.outbox(1, 2, 0, 10), [out(3)]);
      assert.equal((await createWriter(journal, 2)).claim.senders, [1]);
      await applyAll(journal);
      const reader = await createWriter(journal, 2);
      await reader.commit({ read: { 1: 3 } });
      assert.equal(await journal.outbox(1, 2, 0, 10), []);
      assert.equal((await createWriter(journal, 2)).claim.senders, []);
    }),
  );

  test(
    'a claim says the last number given to each receiver, also when all was read',
    withPlace(async (journal) => {
      const [a, b] = [await createWriter(journal, 1), await createWriter(journal, 2)];
      await journal.commit([
        a.next({
          out: [
            [2, 1, sessionKey(1)],
            [3, 1, sessionKey(1)],
          ],
        }),
        a.next({ out: [[2, 2, sessionKey(1)]] }),
        b.next({ read: { 1: 2 } }),
      ]);
      assert.equal((await createWriter(journal, 1)).claim.sent, { 2: 2, 3: 1 });
      const { claim, commit } = await createWriter(journal, 1);
      await commit({ out: [[2, (claim.sent['2'] ?? 0) + 1, sessionKey(1)]] });
      assert.equal(
        (await journal.outbox(1, 2, 0, 10)).map(({ n }) => n),
        [3],
      );
      assert.equal((await createWriter(journal, 2)).claim.read, { 1: 2 });
    }),
  );

  test(
    'a claim lists what is waited for by what is alive on that shard',
    withPlace(async (journal) => {
      const [a, b] = [await createWriter(journal, 1), await createWriter(journal, 2)];
      await a.commit({
        actors: [
          { key: executionKey(1, 1), deadline: 2000 },
          { key: executionKey(1, 2), deadline: 1000, waits: 'run 1' },
          { key: executionKey(1, 3), waits: 'x' },
          { key: executionKey(1, 4), waits: 'place' },
          { key: executionKey(1, 5), waits: 'x' },
        ],
      });
      await b.commit({ actors: [{ key: executionKey(2, 6), waits: 'x' }] });
      await a.commit({ actors: [{ key: executionKey(1, 3), waits: 'x', done: true }, { key: executionKey(1, 5) }] });
      const { claim } = await createWriter(journal, 1);
      assert.equal(Object.fromEntries(claim.waits), {
        [executionKey(1, 2)]: 'run 1',
        [executionKey(1, 4)]: 'place',
      });
    }),
  );

  test(
    'a load sees what was committed before it, without an apply',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      assert.equal(await journal.load(sessionId(1)), { session: sessionId(1), seq: 0, actors: [], remembered: [] });
      for (const state of ['active', 'suspended']) {
        await writer.commit({
          actors: [
            { key: sessionKey(1), state, context: { state } },
            { key: executionKey(1, 1), state: 'done', done: state === 'suspended' },
            { key: executionKey(1, 2), context: { n: 2 } },
            { key: executionKey(2, 3) },
          ],
          events: [[sessionId(1), state === 'active' ? 1 : 2, 'execution_queued']],
        });
        const loaded = await journal.load(sessionId(1));
        assert.is(loaded.seq, state === 'active' ? 1 : 2);
        const own = loaded.actors.find(({ key }) => key === sessionKey(1));
        assert.equal(own, { key: sessionKey(1), version: 1, state, done: false, context: JSON.stringify({ state }) });
        if (state === 'active') await applyAll(journal);
      }
      assert.equal(
        (await journal.load(sessionId(1))).actors.map(({ key }) => key).toSorted(),
        [executionKey(1, 2), sessionKey(1)].toSorted(),
      );
    }),
  );

  test(
    'a session that has ended still loads itself',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      await writer.commit({ actors: [{ key: sessionKey(1), state: 'closed', done: true }] });
      const { actors } = await journal.load(sessionId(1));
      assert.equal(
        actors.map(({ key, done }) => [key, done]),
        [[sessionKey(1), true]],
      );
    }),
  );

  test(
    'a session remembers its newest answers, oldest first, and a repeated key counts as new',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      const remember = async (from: number, to: number): Promise<void> => {
        const remembered = Array.from({ length: to - from }, (_, index) => {
          return [sessionId(1), `k\n${from + index}`, `{"n":${from + index}}`] as const;
        });
        await writer.commit({ remembered });
      };
      await remember(0, 3);
      await writer.commit({
        remembered: [
          [sessionId(1), 'k\n0', '{"n":"again"}'],
          [sessionId(2), 'k', '1'],
        ],
      });
      assert.equal((await journal.load(sessionId(1))).remembered, [
        ['k\n1', '{"n":1}'],
        ['k\n2', '{"n":2}'],
        ['k\n0', '{"n":"again"}'],
      ]);
      for (let from = 3; from < REMEMBERED_LIMIT; from += 1_000) await remember(from, from + 1_000);
      // Cuts into what was written together.
      await remember(REMEMBERED_LIMIT + 3, REMEMBERED_LIMIT + 8);
      const { remembered } = await journal.load(sessionId(1));
      assert.is(remembered.length, REMEMBERED_LIMIT);
      assert.equal(remembered[0], ['k\n8', '{"n":8}']);
      assert.equal(remembered.at(-1), [`k\n${REMEMBERED_LIMIT + 7}`, `{"n":${REMEMBERED_LIMIT + 7}}`]);
      assert.equal((await journal.load(sessionId(2))).remembered, [['k', '1']]);
    }),
  );

  journalDeadlinesContract(test, withPlace);
  journalReadsContract(test, withPlace);
  journalAuditContract(test, withPlace);
  journalPruneContract(test, withPlace);
  journalKeysContract(test, withPlace);

  test(
    'a closed journal refuses everything and closes again',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      await journal.close();
      await journal.close();
      const calls = [
        () => writer.commit(),
        () => journal.commit([]),
        () => journal.claim([1]),
        () => journal.load(sessionId(1)),
        () => journal.deadlines(1, { after: ['', -1], until: 1, limit: 1 }),
        () => journal.outbox(1, 2, 0, 1),
        () => journal.apply(),
        () => journal.prune({ before: 0, auditBefore: 0 }),
        () => journal.reads.actor(sessionKey(1)),
        () => journal.reads.events(sessionId(1), { after: 0, limit: 1 }),
        () => journal.reads.alias('a'),
        () => journal.reads.auditRecords({ after: 0, limit: 1 }),
        () => journal.reads.verifyAudit(),
        () => journal.note([]),
        () => journal.keys.list(),
      ];
      for (const call of calls) {
        const error = await call().then(
          () => null,
          (caught: unknown) => caught,
        );
        assert.instance(error, StoreFailedError, call.toString());
      }
    }),
  );

  test.run();
};
