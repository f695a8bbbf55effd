import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Journal, StoreFailedError } from '../../actors/journal.ts';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import type { AuditHead, AuditVerdict } from '../../actors/reads.ts';
import { createSqliteReads } from '../../actors/sqlite-reads.ts';
import { allRecords, auditEntry, auditText, exportedHead } from '../contract/journal-audit.ts';
import { createWriter } from '../contract/journal-turns.ts';
import { temporaryDirectory } from '../support/ring.ts';

const test = suite('SQLite journal, audit');

const failure = (promise: Promise<unknown>): Promise<Error | null> =>
  promise.then(
    () => null,
    (error: Error) => error,
  );

const inDirectory = (run: (directory: string) => Promise<void>) => async () => {
  const { directory, remove } = await temporaryDirectory();
  try {
    await run(directory);
  } finally {
    await remove();
  }
};

const withJournal = async <T>(directory: string, run: (journal: Journal) => Promise<T>): Promise<T> => {
  const journal = await createSqliteJournal({ directory });
  try {
    return await run(journal);
  } finally {
    await journal.close();
  }
};

/** What somebody who has the file does to it. */
const tamper = (directory: string, sql: string): void => {
  const db = new DatabaseSync(path.join(directory, 'journal.db'));
  db.exec(sql);
  db.close();
};

/** How many rows another connection sees. */
const onDisk = (directory: string): unknown => {
  const db = new DatabaseSync(path.join(directory, 'journal.db'), { readOnly: true });
  const row = db.prepare('SELECT (SELECT count(*) FROM log) AS log, (SELECT count(*) FROM audit) AS audit').get();
  db.close();
  return { ...row };
};

const keyFile = (directory: string): string => path.join(directory, 'audit.key');

/** A journal whose audit has `count` records; answers its head. */
const recorded = (directory: string, count: number): Promise<AuditHead> =>
  withJournal(directory, async (journal) => {
    await journal.note(Array.from({ length: count }, (_, index) => auditEntry(index + 1)));
    return exportedHead(journal);
  });

const verify = (directory: string, head?: AuditHead): Promise<AuditVerdict> =>
  withJournal(directory, (journal) => journal.reads.verifyAudit(head));

const TAMPERINGS: readonly (readonly [what: string, sql: string, firstBad: number])[] = [
  ['a changed text', `UPDATE audit SET text = replace(text, 'alice', 'mallory') WHERE n = 3`, 3],
  ['a text with a space more', `UPDATE audit SET text = text || ' ' WHERE n = 1`, 1],
  ['a text that is no JSON and no UTF-8', `UPDATE audit SET text = CAST(text || x'00ff' AS TEXT) WHERE n = 2`, 2],
  ['a changed mac', `UPDATE audit SET mac = (SELECT mac FROM audit WHERE n = 2) WHERE n = 4`, 4],
  ['a mac that is none', `UPDATE audit SET mac = 'x' WHERE n = 250`, 250],
  ['a removed record', `DELETE FROM audit WHERE n = 3`, 3],
  ['the first record removed', `DELETE FROM audit WHERE n = 1`, 1],
  ['a removed stretch', `DELETE FROM audit WHERE n BETWEEN 90 AND 210`, 90],
  [
    'a swapped pair',
    `UPDATE audit SET n = -1 WHERE n = 2; UPDATE audit SET n = 2 WHERE n = 3; UPDATE audit SET n = 3 WHERE n = -1`,
    2,
  ],
  ['a renumbered tail', `DELETE FROM audit WHERE n = 249; UPDATE audit SET n = 249 WHERE n = 250`, 249],
  ['a record before the first', `INSERT INTO audit SELECT 0, text, mac FROM audit WHERE n = 1`, 1],
  ['a record far before the first', `INSERT INTO audit SELECT -7, text, mac FROM audit WHERE n = 1`, 1],
  ['an appended record', `INSERT INTO audit SELECT 251, text, mac FROM audit WHERE n = 250`, 251],
];

for (const [what, sql, firstBad] of TAMPERINGS) {
  test(
    `${what} is detected and named`,
    inDirectory(async (directory) => {
      const head = await recorded(directory, 250);
      assert.is((await verify(directory, head)).valid, true);
      tamper(directory, sql);
      const verdict = await verify(directory);
      assert.equal([verdict.valid, verdict.firstBad], [false, firstBad]);
      assert.is(verdict.records, await withJournal(directory, async (journal) => (await allOf(journal)).length));
      // The rest can be read and written as before.
      await withJournal(directory, (journal) => journal.note([auditEntry(1)]));
      assert.is((await verify(directory)).firstBad, firstBad);
    }),
  );
}

test(
  'a byte that is read as another character is a change all the same',
  inDirectory(async (directory) => {
    await withJournal(directory, (journal) => journal.note([{ ...auditEntry(1), principal: '\ufffd' }]));
    tamper(directory, `UPDATE audit SET text = replace(text, char(65533), CAST(x'ff' AS TEXT))`);
    assert.is((await verify(directory)).firstBad, 1);
  }),
);

const allOf = async (journal: Journal): Promise<unknown[]> => {
  const items: unknown[] = [];
  for (let after: number | null = -100; after !== null; ) {
    const page = await journal.reads.auditRecords({ after, limit: 1_000 });
    items.push(...page.items);
    after = page.next;
  }
  return items;
};

test(
  'a tail that was cut shows against the exported head alone, also when the chain has grown again',
  inDirectory(async (directory) => {
    const head = await recorded(directory, 250);
    tamper(directory, 'DELETE FROM audit WHERE n > 240');
    assert.is((await verify(directory)).valid, true);
    const cut = await verify(directory, head);
    assert.equal([cut.valid, cut.firstBad, cut.records], [false, 241, 240]);
    await withJournal(directory, (journal) =>
      journal.note(Array.from({ length: 20 }, (_, index) => auditEntry(1_000 + index))),
    );
    assert.is((await verify(directory)).valid, true);
    const grown = await verify(directory, head);
    assert.equal([grown.valid, grown.firstBad, grown.records], [false, 250, 260]);
    tamper(directory, 'DELETE FROM audit');
    const emptied = await verify(directory, head);
    assert.equal([emptied.valid, emptied.firstBad, emptied.records], [false, 1, 0]);
  }),
);

test(
  'the key is made once, for its owner alone',
  inDirectory(async (parent) => {
    const directory = path.join(parent, 'data');
    await withJournal(directory, async () => {});
    assert.is(statSync(keyFile(directory)).mode & 0o777, 0o600);
    const key = readFileSync(keyFile(directory), 'utf8');
    assert.match(key, /^[0-9a-f]{64}\n$/);
    await recorded(directory, 2);
    await verify(directory);
    assert.is(readFileSync(keyFile(directory), 'utf8'), key);
    assert.not(existsSync(`${keyFile(directory)}.new`));
    const another = path.join(parent, 'another');
    await withJournal(another, async () => {});
    assert.is.not(readFileSync(keyFile(another), 'utf8'), key);
  }),
);

test(
  'what a crash left of a key that was being made is no key, and in nobody’s way',
  inDirectory(async (directory) => {
    writeFileSync(`${keyFile(directory)}.new`, 'abc', { mode: 0o644 });
    await recorded(directory, 1);
    assert.is(statSync(keyFile(directory)).mode & 0o777, 0o600);
    assert.is((await verify(directory)).valid, true);
  }),
);

test(
  'a key file that was replaced makes every record bad',
  inDirectory(async (directory) => {
    await recorded(directory, 3);
    const kept = path.join(directory, 'kept.key');
    copyFileSync(keyFile(directory), kept);
    writeFileSync(keyFile(directory), `${'ab'.repeat(32)}\n`);
    const verdict = await verify(directory);
    assert.equal([verdict.valid, verdict.firstBad, verdict.records], [false, 1, 3]);
    renameSync(kept, keyFile(directory));
    assert.is((await verify(directory)).valid, true);
  }),
);

test(
  'records without a key, or with what is none, refuse to open and name the file',
  inDirectory(async (directory) => {
    await recorded(directory, 1);
    const key = readFileSync(keyFile(directory), 'utf8');
    const attempts: readonly (readonly [make: () => void, why: string])[] = [
      [() => rmSync(keyFile(directory)), 'missing'],
      [() => writeFileSync(keyFile(directory), ''), 'malformed'],
      [() => writeFileSync(keyFile(directory), key.slice(1)), 'malformed'],
      [() => writeFileSync(keyFile(directory), `${key}${key}`), 'malformed'],
    ];
    for (const [make, why] of attempts) {
      make();
      const before = existsSync(keyFile(directory)) ? readFileSync(keyFile(directory), 'utf8') : null;
      const error = await failure(createSqliteJournal({ directory }));
      assert.instance(error, StoreFailedError);
      assert.match(error?.message as string, keyFile(directory));
      assert.match(error?.message as string, why);
      assert.is(existsSync(keyFile(directory)) ? readFileSync(keyFile(directory), 'utf8') : null, before);
    }
    // The lock was given back each time, and the key may come back from wherever it was kept.
    writeFileSync(keyFile(directory), key.trimEnd());
    assert.is((await verify(directory)).valid, true);
  }),
);

test(
  'a missing key is made anew where nothing was recorded with it',
  inDirectory(async (directory) => {
    await withJournal(directory, async (journal) => {
      await (await createWriter(journal, 1)).commit();
    });
    rmSync(keyFile(directory));
    await recorded(directory, 1);
    assert.is((await verify(directory)).valid, true);
  }),
);

test(
  'a record is on the disk when its turn is, in one transaction with it',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      const writer = await createWriter(journal, 1);
      await writer.commit({ audit: [auditText(1), auditText(2)] });
      assert.equal(onDisk(directory), { log: 1, audit: 2 });
    }),
  ),
);

/** Makes inserts into a table fail inside SQLite until it is called off. */
const failInserts = (directory: string, table: string): (() => void) => {
  tamper(directory, `CREATE TRIGGER failing BEFORE INSERT ON ${table} BEGIN SELECT RAISE(ABORT, 'made to fail'); END`);
  return () => tamper(directory, 'DROP TRIGGER failing');
};

for (const table of ['log', 'audit']) {
  test(
    `a commit that fails at its ${table} leaves neither turn nor record, and the chain where it was`,
    inDirectory(async (directory) =>
      withJournal(directory, async (journal) => {
        const writer = await createWriter(journal, 1);
        await writer.commit({ audit: [auditText(1)] });
        const turn = writer.next({ audit: [auditText(2)] });
        const callOff = failInserts(directory, table);
        for (let attempt = 0; attempt < 2; attempt++) {
          assert.instance(await failure(journal.commit([turn])), StoreFailedError);
        }
        assert.equal(onDisk(directory), { log: 1, audit: 1 });
        callOff();
        assert.equal(await journal.commit([turn]), ['committed']);
        assert.equal(
          (await allRecords(journal)).map(({ n, text }) => [n, text]),
          [1, 2].map((n) => [n, auditText(n)]),
        );
        assert.is((await journal.reads.verifyAudit()).valid, true);
      }),
    ),
  );
}

test(
  'a key and its record are written together or not at all',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      const key = { id: 'k', principal: 'op', operator: true, hash: 'ff', created_at: 1, revoked_at: null };
      for (const table of ['keys', 'audit']) {
        const callOff = failInserts(directory, table);
        assert.instance(await failure(journal.keys.put(key, auditEntry(1, 'key_created'))), StoreFailedError);
        callOff();
        assert.equal([await journal.keys.list(), await allRecords(journal)], [[], []]);
      }
      await journal.keys.put(key, auditEntry(1, 'key_created'));
      await journal.note([auditEntry(2)]);
      assert.equal([(await journal.keys.list()).length, (await allRecords(journal)).length], [1, 2]);
      assert.is((await journal.reads.verifyAudit()).valid, true);
    }),
  ),
);

/** Lets the next COMMIT fail, before or after it has its effect. */
const failCommit = (when: 'before' | 'after', error: Error): (() => boolean) => {
  const { exec } = DatabaseSync.prototype;
  let armed = true;
  DatabaseSync.prototype.exec = function failing(this: DatabaseSync, sql: string): void {
    if (!armed || sql !== 'COMMIT') return exec.call(this, sql);
    armed = false;
    if (when === 'after') exec.call(this, sql);
    throw error;
  };
  return () => {
    DatabaseSync.prototype.exec = exec;
    return !armed;
  };
};

const FAILURES = {
  'an error of the disk': () => Object.assign(new Error('disk I/O error'), { errcode: 10 }),
  'an error of its own': () => new Error('made to fail'),
};

for (const [what, error] of Object.entries(FAILURES)) {
  test(
    `records whose transaction failed by ${what} are not in the chain`,
    inDirectory(async (directory) =>
      withJournal(directory, async (journal) => {
        await journal.note([auditEntry(1)]);
        const hasFailed = failCommit('before', error());
        const refused = await failure(journal.note([auditEntry(9), auditEntry(10)]));
        assert.ok(hasFailed());
        assert.instance(refused, StoreFailedError);
        await journal.note([auditEntry(2)]);
        assert.equal(
          (await allRecords(journal)).map(({ n, text }) => [n, text]),
          [1, 2].map((n) => [n, auditText(n)]),
        );
        assert.is((await journal.reads.verifyAudit()).valid, true);
      }),
    ),
  );
}

test(
  'records whose transaction failed and is on the disk nevertheless are gone on from',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      await journal.note([auditEntry(1)]);
      const hasFailed = failCommit('after', FAILURES['an error of the disk']());
      const refused = await failure(journal.note([auditEntry(2), auditEntry(3)]));
      assert.ok(hasFailed());
      assert.instance(refused, StoreFailedError);
      await journal.note([auditEntry(4)]);
      assert.equal(
        (await allRecords(journal)).map(({ n, text }) => [n, text]),
        [1, 2, 3, 4].map((n) => [n, auditText(n)]),
      );
      assert.is((await journal.reads.verifyAudit()).valid, true);
    }),
  ),
);

test(
  'a connection of its own reads and checks the audit while records are added, and leaves room between its chunks',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      const reads = createSqliteReads({ directory, settle: () => new Promise(() => {}) });
      await journal.note(Array.from({ length: 950 }, (_, index) => auditEntry(index + 1)));
      const checking = reads.verifyAudit();
      let rounds = 0;
      let isOver = false;
      void checking.finally(() => (isOver = true));
      while (!isOver) {
        await journal.note([auditEntry(rounds)]);
        rounds += 1;
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { valid, records } = await checking;
      assert.equal([valid, records], [true, 950]);
      assert.ok(rounds >= 10, `${rounds} rounds of the event loop`);
      assert.is((await reads.verifyAudit()).records, 950 + rounds);
      assert.is((await allRecords({ reads })).length, 950 + rounds);
      const late = reads.verifyAudit();
      reads.close();
      assert.instance(await failure(late), StoreFailedError);
      assert.instance(await failure(reads.auditRecords({ after: 0, limit: 1 })), StoreFailedError);
    }),
  ),
);

test.run();
