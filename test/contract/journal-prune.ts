import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Journal, PrunedCounts, PruneLimits } from '../../actors/journal.ts';
import { allRecords, auditEntry, exportedHead } from './journal-audit.ts';
import {
  type ActorPart,
  allEvents,
  applyAll,
  createWriter,
  eventText,
  executionId,
  executionKey,
  sessionId,
  sessionKey,
} from './journal-turns.ts';

/** Far more calls than anything here takes. */
const MOST_CALLS = 2_000;

/** Prunes until nothing is left to do; answers the sums and what was to be unlinked. Artifacts are gone at once. */
export const pruneAll = async (
  journal: Pick<Journal, 'prune'>,
  limits: Partial<PruneLimits>,
): Promise<{ readonly counts: PrunedCounts; readonly unlinked: string[]; readonly calls: number }> => {
  const sum = { sessions: 0, actors: 0, events: 0, records: 0 };
  const unlinked: string[] = [];
  let last: readonly string[] = [];
  for (let calls = 1; calls < MOST_CALLS; calls++) {
    const { counts, unlink, more } = await journal.prune({ before: 0, auditBefore: 0, ...limits, unlinked: last });
    for (const what of Object.keys(sum) as (keyof PrunedCounts)[]) sum[what] += counts[what];
    unlinked.push(...unlink);
    last = unlink;
    if (!more && unlink.length === 0) return { counts: sum, unlinked: unlinked.toSorted(), calls };
  }
  throw new Error(`more than ${MOST_CALLS} calls`);
};

const NOTHING: PrunedCounts = { sessions: 0, actors: 0, events: 0, records: 0 };

const ended = (key: string, state: string, aliases?: readonly string[]): ActorPart => ({
  key,
  state,
  done: true,
  ...(aliases === undefined ? {} : { aliases }),
});

/** What every adapter keeps of what is too old. Adds its tests to `test`; `withPlace` opens a journal for each. */
export const journalPruneContract = (
  test: Test,
  withPlace: (run: (journal: Journal, place: { open(): Promise<Journal> }) => Promise<void>) => () => Promise<void>,
): void => {
  test(
    'a session that ended long enough ago is as unknown as one that never was, and only it',
    withPlace(async (journal, place) => {
      const writer = await createWriter(journal, 1);
      const open = (n: number, at: number) =>
        writer.commit({
          at,
          actors: [
            { key: sessionKey(n), state: 'active', label: 'alice' },
            ended(`${sessionId(n)}/client/cli_${n}`, 'left', [`cap_${n}`]),
            ended(executionKey(n, n), 'completed'),
          ],
          events: [[sessionId(n), 1, 'session_opened']],
          remembered: [[sessionId(n), 'k', '1']],
        });
      const close = (n: number, at: number, done = true) =>
        writer.commit({
          at,
          actors: [{ key: sessionKey(n), state: 'closed', label: 'alice', done }],
          events: [[sessionId(n), 2, 'session_closed']],
        });
      for (const n of [1, 2, 3]) await open(n, 1_000);
      await close(1, 2_000);
      await close(2, 2_001);
      await applyAll(journal);
      assert.equal((await pruneAll(journal, { before: 999 })).counts, NOTHING);
      const { counts, unlinked } = await pruneAll(journal, { before: 2_000 });
      // Of the others what had ended by then, and the head of their logs.
      assert.is(counts.sessions, 1);
      assert.equal(unlinked, [1, 2, 3].map(executionId));

      const check = async (from: Journal): Promise<void> => {
        assert.equal(await from.load(sessionId(1)), { session: sessionId(1), seq: 0, actors: [], remembered: [] });
        assert.is(await from.reads.actor(sessionKey(1)), null);
        assert.is(await from.reads.find('execution', executionId(1)), null);
        assert.is(await from.reads.alias('cap_1'), null);
        const none = await from.reads.events(sessionId(1), { after: 0, limit: 9 });
        assert.equal(none, { events: [], next: null, first: 1, last: 0 });
        const ids = (await from.reads.labelled('session', 'alice', { limit: 9 })).map(({ id }) => id);
        assert.equal(ids, [2, 3].map(sessionId));
        assert.is((await from.reads.actor(sessionKey(2)))?.state, 'closed');
        assert.is((await from.load(sessionId(2))).seq, 2);
      };
      await check(journal);
      // Found in the log by the next one, which must not take it for news of any session for ever.
      await writer.commit({ at: 1_000, actors: [{ key: sessionKey(3), state: 'active', label: 'alice' }] });
      await journal.close();
      const again = await place.open();
      await check(again);
      assert.is((await pruneAll(again, { before: 2_001 })).counts.sessions, 1);
      // A new one of the same name would begin from 1.
      const next = await createWriter(again, 1);
      await next.commit({ actors: [{ key: sessionKey(1) }], events: [[sessionId(1), 1, 'session_opened']] });
      assert.is((await allEvents(again, sessionId(1), { limit: 9 })).length, 1);
      await again.close();
    }),
  );

  test(
    'a session stays as long as anything that belongs to it lives, and is not touched while the log speaks of it',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      const late = `${sessionId(1)}/delivery/dlv_1`;
      await writer.commit({
        at: 1_000,
        actors: [{ key: sessionKey(1), state: 'closed', done: true, label: 'alice' }, { key: late }],
        events: [[sessionId(1), 1, 'session_closed']],
      });
      await applyAll(journal);
      assert.equal((await pruneAll(journal, { before: 5_000 })).counts, { ...NOTHING, events: 1 });
      assert.is((await journal.load(sessionId(1))).seq, 1);
      // It may still say something, and what it says follows.
      await writer.commit({ at: 2_000, actors: [ended(late, 'dead')], events: [[sessionId(1), 2, 'webhook_dead']] });
      await pruneAll(journal, { before: 1_500 });
      assert.equal(await allEvents(journal, sessionId(1), { limit: 9, after: 1 }), [
        eventText(sessionId(1), 2, 'webhook_dead'),
      ]);
      await applyAll(journal);
      // What was said after its end is not old yet.
      assert.is((await pruneAll(journal, { before: 1_999 })).counts.sessions, 0);
      const { counts } = await pruneAll(journal, { before: 2_000 });
      assert.equal([counts.sessions, counts.actors], [1, 2]);
      assert.is((await journal.load(sessionId(1))).seq, 0);
    }),
  );

  test(
    'in a session that lives on, what has ended goes with its aliases, and what lives is not touched',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      await writer.commit({
        at: 1_000,
        actors: [
          { key: sessionKey(1), state: 'active', label: 'alice', context: { a: 1 } },
          { ...ended(executionKey(1, 1), 'completed', ['old']), deadline: 5 },
          { key: executionKey(1, 2), state: 'running', deadline: 77, waits: 'run:1', aliases: ['live'] },
        ],
      });
      await writer.commit({ at: 1_001, actors: [ended(executionKey(1, 3), 'failed', ['new'])] });
      await applyAll(journal);
      const before = await journal.load(sessionId(1));
      const { counts, unlinked } = await pruneAll(journal, { before: 1_000 });
      assert.equal([counts, unlinked], [{ ...NOTHING, actors: 1 }, [executionId(1)]]);
      assert.equal(await journal.load(sessionId(1)), before);
      const ids = async () => (await journal.reads.actors(sessionId(1), 'execution', { limit: 9 })).map(({ id }) => id);
      assert.equal(await ids(), [2, 3].map(executionId));
      assert.is(await journal.reads.alias('old'), null);
      assert.is((await journal.reads.alias('live'))?.id, executionId(2));
      const next = await createWriter(journal, 1);
      assert.equal(await journal.deadlines(1, { after: ['', -1], until: 99, limit: 9 }), [[executionKey(1, 2), 77]]);
      // The name is free again.
      await next.commit({ actors: [{ key: executionKey(1, 2), state: 'running', aliases: ['old'] }] });
      assert.is((await journal.reads.alias('old'))?.id, executionId(2));
      // However old: it lives.
      await pruneAll(journal, { before: 9_000_000_000_000 });
      assert.equal(await ids(), [executionId(2)]);
      assert.is((await journal.reads.actor(sessionKey(1)))?.state, 'active');
    }),
  );

  test(
    'of the events the head goes, what is left is dense, and `first` says where it begins',
    withPlace(async (journal, place) => {
      const writer = await createWriter(journal, 1);
      const session = sessionId(1);
      // The wall is put back in the middle: nothing goes before its time.
      const times = [1_000, 2_000, 1_500, 3_000];
      let seq = 0;
      for (const at of times) {
        await writer.commit({
          at,
          actors: [{ key: sessionKey(1) }],
          events: [1, 2].map(() => [session, (seq += 1), 'execution_output'] as const),
        });
        await applyAll(journal);
      }
      const page = async (from: Journal, after: number) => {
        const { events, first, last } = await from.reads.events(session, { after, limit: 9 });
        return [events.map((event) => (JSON.parse(event) as { seq: number }).seq), first, last];
      };
      assert.is((await pruneAll(journal, { before: 999 })).counts.events, 0);
      assert.is((await pruneAll(journal, { before: 1_600 })).counts.events, 2);
      assert.equal(await page(journal, 0), [[3, 4, 5, 6, 7, 8], 3, 8]);
      assert.is((await pruneAll(journal, { before: 2_000 })).counts.events, 4);
      assert.equal(await page(journal, 6), [[7, 8], 7, 8]);
      assert.is((await pruneAll(journal, { before: 3_000 })).counts.events, 2);
      assert.equal(await page(journal, 0), [[], 9, 8]);
      await journal.close();
      const again = await place.open();
      assert.is((await again.load(session)).seq, 8);
      const next = await createWriter(again, 1);
      await next.commit({ events: [[session, 9, 'execution_output']] });
      assert.equal(await page(again, 0), [[9], 9, 9]);
      await again.close();
    }),
  );

  test(
    'old answers are forgotten, newer ones are not',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      const remember = async (at: number, key: string) => {
        await writer.commit({ at, actors: [{ key: sessionKey(1) }], remembered: [[sessionId(1), key, `"${at}"`]] });
        await applyAll(journal);
      };
      await remember(1_000, 'a');
      await remember(2_000, 'b');
      await remember(3_000, 'c');
      await pruneAll(journal, { before: 2_000 });
      assert.equal((await journal.load(sessionId(1))).remembered, [['c', '"3000"']]);
      await remember(4_000, 'a');
      assert.equal((await journal.load(sessionId(1))).remembered, [
        ['c', '"3000"'],
        ['a', '"4000"'],
      ]);
    }),
  );

  test(
    'artifacts are named until they are gone, over a restart too, and never those of an execution that is there',
    withPlace(async (journal, place) => {
      const writer = await createWriter(journal, 1);
      await writer.commit({
        at: 1_000,
        actors: [{ key: sessionKey(1) }, ended(executionKey(1, 1), 'completed'), ended(executionKey(1, 2), 'failed')],
      });
      await applyAll(journal);
      const limits = { before: 1_000, auditBefore: 0 };
      const both = [1, 2].map(executionId);
      assert.equal((await journal.prune(limits)).unlink.toSorted(), both);
      assert.equal((await journal.prune(limits)).unlink.toSorted(), both);
      await journal.close();
      const again = await place.open();
      const gone = await again.prune({ ...limits, unlinked: [executionId(1)] });
      assert.equal([gone.unlink, gone.more], [[executionId(2)], false]);
      const next = await createWriter(again, 1);
      await next.commit({ actors: [{ key: executionKey(1, 2), state: 'running' }] });
      await applyAll(again);
      assert.equal((await again.prune(limits)).unlink, []);
      await again.close();
    }),
  );

  test(
    'pruned records of the audit leave a checkpoint from which the chain is valid and goes on',
    withPlace(async (journal, place) => {
      const at = (n: number): number => auditEntry(n).at;
      await journal.note(Array.from({ length: 500 }, (_, index) => auditEntry(index + 1)));
      const [old, edge, kept] = (await allRecords(journal)).filter(({ n }) => [100, 300, 301].includes(n));
      const head = await exportedHead(journal);
      assert.equal((await pruneAll(journal, { before: at(500), auditBefore: at(0) })).counts, NOTHING);
      assert.equal((await pruneAll(journal, { auditBefore: at(300) })).counts, { ...NOTHING, records: 300 });
      const good = { valid: true, records: 200, head: `${head.n}:${head.mac}`, first: 301 };
      const check = async (from: Journal): Promise<void> => {
        const verify = from.reads.verifyAudit;
        for (const expected of [undefined, head, old, edge, kept]) assert.equal(await verify(expected), good);
        const forged = { n: 300, mac: (kept as { mac: string }).mac };
        assert.equal(await verify(forged), { ...good, valid: false, firstBad: 300 });
        assert.equal(await verify({ n: 301, mac: forged.mac.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) }), {
          ...good,
          valid: false,
          firstBad: 301,
        });
        const { items, next } = await from.reads.auditRecords({ after: 0, limit: 2 });
        assert.equal([items.map(({ n }) => n), next], [[301, 302], 302]);
        assert.is((await allRecords(from, 50)).length, 200);
      };
      await check(journal);
      await journal.close();

      const again = await place.open();
      await check(again);
      assert.is((await pruneAll(again, { auditBefore: at(9_999) })).counts.records, 200);
      const empty = { valid: true, records: 0, head: `${head.n}:${head.mac}`, first: 501 };
      assert.equal(await again.reads.verifyAudit(), empty);
      await again.close();

      const last = await place.open();
      await last.note([auditEntry(501)]);
      const { valid, records, first } = await last.reads.verifyAudit(head);
      assert.equal([valid, records, first], [true, 1, 501]);
      assert.is((await allRecords(last))[0]?.n, 501);
      await last.close();
    }),
  );
};
