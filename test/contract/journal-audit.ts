import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Journal } from '../../actors/journal.ts';
import type { StoredAudit } from '../../actors/reads.ts';
import type { AuditEntry, AuditType } from '../../machines/audit.ts';
import { allEvents, applyAll, createWriter, sessionId, turnText } from './journal-turns.ts';

export const auditEntry = (n: number, type: AuditType = 'command_accepted'): AuditEntry => ({
  type,
  at: 1_700_000_000_000 + n,
  session_id: sessionId(n),
  principal: 'alice',
  client_id: null,
  data: { n, text: 'ü\n"' },
});

export const auditText = (n: number): string => JSON.stringify(auditEntry(n));

/** Every record, page after page. */
export const allRecords = async (journal: Pick<Journal, 'reads'>, limit = 1_000): Promise<StoredAudit[]> => {
  const records: StoredAudit[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page = await journal.reads.auditRecords({ after, limit });
    records.push(...page.items);
    if (page.next !== null && page.next <= after) throw new Error(`next ${page.next} does not go beyond ${after}`);
    after = page.next;
  }
  return records;
};

/** The last record, as an operator exports it. */
export const exportedHead = async (journal: Pick<Journal, 'reads'>): Promise<{ n: number; mac: string }> => {
  const { head } = await journal.reads.verifyAudit();
  const [n, mac] = head.split(':') as [string, string];
  return { n: Number(n), mac };
};

const SEED = '0'.repeat(64);

/** What every adapter's audit keeps. Adds its tests to `test`; `withPlace` opens a journal for each. */
export const journalAuditContract = (
  test: Test,
  withPlace: (run: (journal: Journal, place: { open(): Promise<Journal> }) => Promise<void>) => () => Promise<void>,
): void => {
  const texts = async (journal: Journal): Promise<string[]> => (await allRecords(journal)).map(({ text }) => text);

  test(
    'an audit without a record is valid, and its head is the seed of the chain',
    withPlace(async (journal) => {
      assert.equal(await journal.reads.auditRecords({ after: 0, limit: 10 }), { items: [], next: null });
      const none = { valid: true, records: 0, head: `0:${SEED}` };
      assert.equal(await journal.reads.verifyAudit(), none);
      assert.equal(await journal.reads.verifyAudit({ n: 0, mac: SEED }), none);
      assert.equal(await journal.reads.verifyAudit({ n: 0, mac: '1'.repeat(64) }), { ...none, valid: false });
      assert.equal(await journal.reads.verifyAudit({ n: 3, mac: SEED }), { ...none, valid: false, firstBad: 1 });
    }),
  );

  test(
    'the audit of a turn is there with the turn, in order, numbered from 1 over all shards',
    withPlace(async (journal) => {
      const [a, b] = [await createWriter(journal, 1), await createWriter(journal, 2)];
      await journal.commit([
        a.next({ audit: [auditText(1), auditText(2)], events: [[sessionId(1), 1, 'session_opened']] }),
        b.next({ events: [[sessionId(2), 1, 'session_opened']] }),
        b.next({ audit: [auditText(3)] }),
        a.next({ audit: [auditText(4)] }),
      ]);
      const records = await allRecords(journal);
      assert.equal(
        records.map(({ n, text }) => [n, text]),
        [1, 2, 3, 4].map((n) => [n, auditText(n)]),
      );
      assert.is(new Set(records.map(({ mac }) => mac)).size, 4);
      for (const { mac } of records) assert.match(mac, /^[0-9a-f]{64}$/);
      await b.commit({ audit: [auditText(5)] });
      assert.equal(await texts(journal), [1, 2, 3, 4, 5].map(auditText));
      assert.is((await allEvents(journal, sessionId(1), { limit: 9 })).length, 1);
      await applyAll(journal);
      assert.equal((await allRecords(journal)).slice(0, 4), records);
    }),
  );

  test(
    'a refused turn leaves no audit and no hole in it',
    withPlace(async (journal) => {
      const writer = await createWriter(journal, 1);
      assert.equal(
        await journal.commit([
          turnText(1, 9, 1, { audit: [auditText(7)] }),
          writer.next({ audit: [auditText(1)] }),
          turnText(1, 1, 9, { audit: [auditText(8)] }),
          turnText(3, 1, 1, { audit: [auditText(9)] }),
          writer.next({ audit: [auditText(2)] }),
        ]),
        ['fenced', 'committed', 'gap', 'fenced', 'committed'],
      );
      assert.equal(await journal.commit([turnText(1, 1, 9, { audit: [auditText(8)] })]), ['gap']);
      assert.equal(
        (await allRecords(journal)).map(({ n, text }) => [n, text]),
        [
          [1, auditText(1)],
          [2, auditText(2)],
        ],
      );
      assert.is((await journal.reads.verifyAudit()).valid, true);
    }),
  );

  test(
    'notes and keys with an entry are records like those of turns',
    withPlace(async (journal) => {
      const key = { id: 'b', principal: 'op', operator: true, hash: 'ff', created_at: 1, revoked_at: null };
      await journal.note([auditEntry(1), auditEntry(2, 'login_failed')]);
      await journal.keys.put(key, auditEntry(3, 'key_created'));
      await journal.keys.put({ ...key, id: 'c' });
      await journal.note([]);
      await (await createWriter(journal, 1)).commit({ audit: [auditText(4)] });
      await journal.note([auditEntry(5)]);
      const entries = (await texts(journal)).map((text) => JSON.parse(text) as AuditEntry);
      assert.equal(entries, [
        auditEntry(1),
        auditEntry(2, 'login_failed'),
        auditEntry(3, 'key_created'),
        auditEntry(4),
        auditEntry(5),
      ]);
      assert.equal(await journal.keys.find('b'), key);
      assert.is((await journal.reads.verifyAudit()).records, 5);
    }),
  );

  test(
    'records come in pages, in order, and `next` is null only at the end',
    withPlace(async (journal) => {
      await journal.note(Array.from({ length: 1_205 }, (_, index) => auditEntry(index + 1)));
      const page = async (after: number, limit: number): Promise<unknown> => {
        const { items, next } = await journal.reads.auditRecords({ after, limit });
        return [items[0]?.n ?? null, items.length, next];
      };
      assert.equal(await page(0, 3), [1, 3, 3]);
      assert.equal(await page(3, 1_202), [4, 1_000, 1_003]);
      assert.equal(await page(1_003, 1_000), [1_004, 202, null]);
      assert.equal(await page(1_200, 5), [1_201, 5, null]);
      assert.equal(await page(1_200, 4), [1_201, 4, 1_204]);
      assert.equal(await page(1_205, 5), [null, 0, null]);
      assert.equal(await page(5_000, 5), [null, 0, null]);
      assert.equal(
        await texts(journal),
        Array.from({ length: 1_205 }, (_, index) => auditText(index + 1)),
      );
      assert.is((await journal.reads.verifyAudit()).records, 1_205);
    }),
  );

  test(
    'a page of records holds at most 1 MiB of text, but always one',
    withPlace(async (journal) => {
      const long = (length: number): AuditEntry => ({ ...auditEntry(1), data: { text: 'x'.repeat(length) } });
      await journal.note([long(400_000), long(400_000), long(400_000), long(1_500_000), long(1)]);
      const sizes: number[] = [];
      for (let after: number | null = 0; after !== null; ) {
        const page = await journal.reads.auditRecords({ after, limit: 1_000 });
        sizes.push(page.items.length);
        after = page.next;
      }
      assert.equal(sizes, [2, 1, 1, 1]);
      assert.is((await journal.reads.verifyAudit()).valid, true);
    }),
  );

  test(
    'the chain is valid against each of its own heads and against no other',
    withPlace(async (journal) => {
      await journal.note([1, 2, 3].map((n) => auditEntry(n)));
      const records = await allRecords(journal);
      const good = { valid: true, records: 3, head: `3:${records[2]?.mac}` };
      const verify = journal.reads.verifyAudit;
      assert.equal(await verify(), good);
      assert.equal(await verify({ n: 0, mac: SEED }), good);
      for (const { n, mac } of records) assert.equal(await verify({ n, mac }), good);
      const [first, second] = records as [StoredAudit, StoredAudit];
      const other = first.mac.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
      assert.equal(await verify({ n: 1, mac: other }), { ...good, valid: false, firstBad: 1 });
      assert.equal(await verify({ n: 1, mac: second.mac }), { ...good, valid: false, firstBad: 1 });
      assert.equal(await verify({ n: 3, mac: second.mac }), { ...good, valid: false, firstBad: 3 });
      assert.equal(await verify({ n: 3, mac: '' }), { ...good, valid: false, firstBad: 3 });
      assert.equal(await verify({ n: 9, mac: other }), { ...good, valid: false, firstBad: 4 });
    }),
  );

  test(
    'the audit outlives the journal, and its chain goes on',
    withPlace(async (journal, place) => {
      await (await createWriter(journal, 1)).commit({ audit: [auditText(1), auditText(2)] });
      await journal.note([auditEntry(3)]);
      const before = await allRecords(journal);
      const head = await exportedHead(journal);
      await journal.close();
      const again = await place.open();
      assert.equal(await allRecords(again), before);
      await (await createWriter(again, 1)).commit({ audit: [auditText(4)] });
      await again.note([auditEntry(5)]);
      assert.equal(
        (await allRecords(again, 2)).map(({ n, text }) => [n, text]),
        [1, 2, 3, 4, 5].map((n) => [n, auditText(n)]),
      );
      assert.is((await again.reads.verifyAudit(head)).valid, true);
      await again.close();
    }),
  );
};
