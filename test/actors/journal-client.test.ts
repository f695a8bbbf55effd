import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createJournalClient } from '../../actors/journal-client.ts';
import { createSqliteReads } from '../../actors/sqlite-reads.ts';
import { allRecords, auditEntry } from '../contract/journal-audit.ts';
import { temporaryDirectory, until } from '../support/ring.ts';

const test = suite('journal client');

const settled = async (what: string, promise: Promise<unknown>): Promise<void> => {
  let over = false;
  void Promise.allSettled([promise]).then(() => (over = true));
  await until(what, () => over, 5_000);
};

test('a thread that ends by itself is reported, calls are refused, and closing it comes to an end', async () => {
  const { directory, remove } = await temporaryDirectory();
  const exits: Error[] = [];
  const client = await createJournalClient({
    directory,
    onNotice: () => {},
    onExit: (error) => void exits.push(error),
  });
  // Nothing that any worker sends; it stands for whatever ends the thread.
  client.connect().postMessage(null);
  await until('the thread has ended', () => exits.length > 0);
  await settled('a call is refused', client.keys.list());
  await assertRefused(client.keys.list());
  await settled('the end of the client', client.close());
  await remove();
});

test('closing twice closes once', async () => {
  const { directory, remove } = await temporaryDirectory();
  const client = await createJournalClient({ directory, onNotice: () => {}, onExit: () => {} });
  await Promise.all([client.close(), client.close()]);
  await settled('a third', client.close());
  await remove();
});

test('what is noted is on the disk when that resolves, and a key with its entry', async () => {
  const { directory, remove } = await temporaryDirectory();
  const client = await createJournalClient({ directory, onNotice: () => {}, onExit: () => {} });
  const reads = createSqliteReads({ directory, settle: async () => {} });
  const key = { id: 'k', principal: 'op', operator: true, hash: 'ff', created_at: 1, revoked_at: null };
  await client.note([auditEntry(1), auditEntry(2)]);
  assert.is((await allRecords({ reads })).length, 2);
  await client.keys.put(key, auditEntry(3, 'key_created'));
  await client.keys.put({ ...key, id: 'l' });
  await Promise.all([4, 5, 6].map((n) => client.note([auditEntry(n)])));
  assert.equal(
    (await allRecords({ reads })).map(({ text }) => JSON.parse(text)),
    [auditEntry(1), auditEntry(2), auditEntry(3, 'key_created'), ...[4, 5, 6].map((n) => auditEntry(n))],
  );
  assert.is((await reads.verifyAudit()).valid, true);
  assert.is((await client.keys.list()).length, 2);
  reads.close();
  await client.close();
  await assertRefused(client.note([auditEntry(7)]));
  await remove();
});

const assertRefused = async (promise: Promise<unknown>): Promise<void> => {
  const refused = await promise.then(
    () => null,
    (error: { code?: string }) => error.code,
  );
  assert.is(refused, 'ERR_STORE_FAILED');
};

test.run();
