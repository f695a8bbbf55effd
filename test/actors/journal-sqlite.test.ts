import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { REMEMBERED_LIMIT, StoreFailedError } from '../../actors/journal.ts';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import { createSqliteReads } from '../../actors/sqlite-reads.ts';
import { journalContract } from '../contract/journal.ts';
import {
  allEvents,
  applyAll,
  createWriter,
  eventText,
  executionId,
  executionKey,
  sessionId,
} from '../contract/journal-turns.ts';

const newDirectory = (): string => mkdtempSync(path.join(tmpdir(), 'arbor-journal-'));
const remove = (directory: string): void => rmSync(directory, { recursive: true, force: true });
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

journalContract('SQLite journal', async () => {
  const directory = newDirectory();
  return { open: () => createSqliteJournal({ directory }), dispose: async () => remove(directory) };
});

const test = suite('SQLite journal');

const inDirectory = (run: (directory: string) => Promise<void>) => async () => {
  const directory = newDirectory();
  try {
    await run(directory);
  } finally {
    remove(directory);
  }
};

test(
  'the directory is made, and belongs to one journal at a time',
  inDirectory(async (parent) => {
    const directory = path.join(parent, 'a', 'b');
    const journal = await createSqliteJournal({ directory });
    const error = await failure(createSqliteJournal({ directory }));
    assert.instance(error, StoreFailedError);
    assert.match((error as Error).message, directory);
    assert.match((error as Error).message, 'in use');
    await createWriter(journal, 1);
    await journal.close();
    await (await createSqliteJournal({ directory })).close();
  }),
);

test(
  "SQLite's log begins anew now and then although it is written all the time",
  inDirectory(async (directory) => {
    const journal = await createSqliteJournal({ directory });
    const writer = await createWriter(journal, 1);
    const text = 'x'.repeat(40_000);
    let longest = 0;
    for (let seq = 1; seq <= 1_500; seq++) {
      await writer.commit({ events: [[sessionId(1), seq, 'execution_output', text]] });
      await journal.apply();
      // What the thread of the checkpoints has to say comes in between.
      await setImmediate();
      longest = Math.max(longest, statSync(path.join(directory, 'journal.db-wal')).size);
    }
    const written = 1_500 * 2 * text.length;
    assert.ok(longest < written / 2, `${written} bytes were written through a log of ${longest}`);
    await journal.close();
    const again = await createSqliteJournal({ directory });
    assert.is((await again.load(sessionId(1))).seq, 1_500);
    await again.close();
  }),
);

test(
  'a file that is no journal is refused by name, and the lock is given back',
  inDirectory(async (directory) => {
    const file = path.join(directory, 'journal.db');
    writeFileSync(file, 'x'.repeat(8192));
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await failure(createSqliteJournal({ directory }));
      assert.instance(error, StoreFailedError);
      assert.match((error as Error).message, file);
      assert.not.match((error as Error).message, 'in use');
    }
    assert.is(readFileSync(file, 'utf8').length, 8192);
  }),
);

test(
  'a newer schema is refused and left alone',
  inDirectory(async (directory) => {
    await (await createSqliteJournal({ directory })).close();
    const db = new DatabaseSync(path.join(directory, 'journal.db'));
    db.exec(`UPDATE meta SET value = 99 WHERE name = 'schema'`);
    db.close();
    const error = await failure(createSqliteJournal({ directory }));
    assert.instance(error, StoreFailedError);
    assert.match((error as Error).message, 'its schema is 99');
  }),
);

test(
  'damage in the middle of the log refuses to start and names the place',
  inDirectory(async (directory) => {
    const journal = await createSqliteJournal({ directory });
    await (await createWriter(journal, 1)).commit({ events: [[sessionId(1), 1, 'session_opened']] });
    await journal.close();
    const db = new DatabaseSync(path.join(directory, 'journal.db'));
    db.exec(`UPDATE log SET text = substr(text, 1, length(text) - 200)`);
    db.close();
    const error = await failure(createSqliteJournal({ directory }));
    assert.instance(error, StoreFailedError);
    assert.match((error as Error).message, /journal\.db.*log row 1\b/);
  }),
);

test(
  'a page that does not hang together with the others refuses to start and is named',
  inDirectory(async (directory) => {
    const file = path.join(directory, 'journal.db');
    const journal = await createSqliteJournal({ directory });
    await (await createWriter(journal, 1)).commit({ events: [[sessionId(1), 1, 'session_opened']] });
    await journal.close();
    const whole = readFileSync(file);
    for (let page = 2; page * 4_096 <= whole.length; page++) {
      const bytes = Buffer.from(whole);
      const at = (page - 1) * 4_096;
      bytes[at] = (bytes[at] as number) ^ 0x40;
      writeFileSync(file, bytes);
      const error = await failure(createSqliteJournal({ directory }));
      assert.instance(error, StoreFailedError, `page ${page}`);
      assert.match((error as Error).message, /journal\.db/);
    }
    writeFileSync(file, whole);
    await (await createSqliteJournal({ directory })).close();
  }),
);

test(
  'a seq that does not follow the last is never put into the tables',
  inDirectory(async (directory) => {
    const journal = await createSqliteJournal({ directory });
    const writer = await createWriter(journal, 1);
    await writer.commit({ events: [[sessionId(1), 1, 'session_opened']] });
    await applyAll(journal);
    await writer.commit({ events: [[sessionId(1), 3, 'session_closed']] });
    const error = await failure(journal.apply());
    assert.instance(error, StoreFailedError);
    assert.match((error as Error).message, 'event 3 follows event 1');
    // What the log does not concern is read on.
    assert.is((await journal.load(sessionId(2))).seq, 0);
    await journal.close();
  }),
);

test(
  'the log is empty once everything is applied, and is applied when the journal opens',
  inDirectory(async (directory) => {
    const rows = (): unknown => {
      const db = new DatabaseSync(path.join(directory, 'journal.db'), { readOnly: true });
      const row = db.prepare('SELECT (SELECT count(*) FROM log) AS log, (SELECT count(*) FROM events) AS events').get();
      db.close();
      return { ...row };
    };
    const journal = await createSqliteJournal({ directory });
    const writer = await createWriter(journal, 1);
    for (let seq = 1; seq <= 3; seq++) await writer.commit({ events: [[sessionId(1), seq, 'session_opened']] });
    assert.equal(rows(), { log: 3, events: 0 });
    await journal.close();
    const again = await createSqliteJournal({ directory });
    assert.equal(rows(), { log: 0, events: 1 });
    await again.close();
  }),
);

test(
  'apply is bounded: a long log takes several calls',
  inDirectory(async (directory) => {
    const journal = await createSqliteJournal({ directory });
    const writer = await createWriter(journal, 1);
    let seq = 0;
    for (let group = 0; group < 4; group++) {
      const turns = Array.from({ length: 100 }, () =>
        writer.next({ events: [[sessionId(1), ++seq, 'execution_output', 'x'.repeat(3000)]] }),
      );
      await journal.commit(turns);
    }
    let calls = 1;
    while (await journal.apply()) calls++;
    assert.ok(calls >= 4, `${calls} calls`);
    assert.is((await allEvents(journal, sessionId(1), { limit: 100 })).length, 400);
    await journal.close();
  }),
);

test(
  'reads over a connection of their own wait for the log that concerns them',
  inDirectory(async (directory) => {
    const journal = await createSqliteJournal({ directory });
    const asked: (string | null)[] = [];
    const reads = createSqliteReads({
      directory,
      settle: async (mention) => {
        asked.push(mention);
        await applyAll(journal);
      },
    });
    const writer = await createWriter(journal, 1);
    await writer.commit({
      events: [[sessionId(1), 1, 'session_opened']],
      actors: [{ key: executionKey(1, 1), label: 'a' }],
    });
    const { events } = await reads.events(sessionId(1), { after: 0, limit: 9 });
    assert.equal(events, [eventText(sessionId(1), 1, 'session_opened')]);
    assert.is((await reads.actor(executionKey(1, 1)))?.id, executionId(1));
    assert.is((await reads.find('execution', executionId(1)))?.id, executionId(1));
    assert.is((await reads.actors(sessionId(1), 'execution', { limit: 1 })).length, 1);
    assert.is((await reads.labelled('execution', 'a', { limit: 1 })).length, 1);
    assert.equal(asked, [sessionId(1), sessionId(1), executionId(1), sessionId(1), null]);
    reads.close();
    assert.instance(await failure(reads.actor(executionKey(1, 1))), StoreFailedError);
    await journal.close();
  }),
);

test(
  'answers that are no longer remembered leave the file',
  inDirectory(async (directory) => {
    const journal = await createSqliteJournal({ directory });
    const writer = await createWriter(journal, 1);
    for (let part = 0; part < 4; part++) {
      const keys = Array.from({ length: REMEMBERED_LIMIT / 2 }, (_, index) => `${part} ${index}`);
      await writer.commit({ remembered: keys.map((key) => [sessionId(1), key, 'null'] as const) });
      await applyAll(journal);
    }
    await journal.close();
    const db = new DatabaseSync(path.join(directory, 'journal.db'), { readOnly: true });
    assert.is(db.prepare('SELECT count(*) AS rows FROM remembered').get()?.['rows'], 2);
    db.close();
  }),
);

test(
  'a page looks at a bounded part of the log and goes on behind it',
  inDirectory(async (directory) => {
    await (await createSqliteJournal({ directory })).close();
    const db = new DatabaseSync(path.join(directory, 'journal.db'));
    const count = 5_000;
    db.prepare('INSERT INTO sessions (session, seq, remembered) VALUES (?, ?, 0)').run(sessionId(1), count);
    db.prepare(`
      WITH RECURSIVE seq (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < ?)
      INSERT INTO events (session, first, last, types, text) SELECT ?, n, n, iif(n = ?, 'rare', 'frequent'), json_object('seq', n) FROM seq
    `).run(count, sessionId(1), count);
    db.close();
    const journal = await createSqliteJournal({ directory });
    const page = await journal.reads.events(sessionId(1), { after: 0, limit: 10, types: ['rare'] });
    assert.is(page.events.length, 0);
    assert.ok(page.next !== null && page.next < count, `next ${page.next}`);
    const found = await allEvents(journal, sessionId(1), { limit: 10, types: ['rare'] });
    assert.equal(found, [`{"seq":${count}}`]);
    await journal.close();
  }),
);

test(
  'a read whose log is never applied rejects at its deadline',
  inDirectory(async (directory) => {
    const journal = await createSqliteJournal({ directory });
    const reads = createSqliteReads({ directory, settle: () => new Promise(() => {}), deadlineMs: 20 });
    assert.instance(await failure(reads.actor(executionKey(1, 1))), StoreFailedError);
    reads.close();
    await journal.close();
  }),
);

test.run();
