import { renameSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Journal, StoreFailedError } from '../../actors/journal.ts';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import type { AuditHead, AuditVerdict } from '../../actors/reads.ts';
import { createSqliteReads } from '../../actors/sqlite-reads.ts';
import { auditEntry, exportedHead } from '../contract/journal-audit.ts';
import { pruneAll } from '../contract/journal-prune.ts';
import { applyAll, createWriter, executionId, executionKey, sessionId, sessionKey } from '../contract/journal-turns.ts';
import { temporaryDirectory } from '../support/ring.ts';

const test = suite('SQLite journal, pruning');

const withJournal = async <T>(directory: string, run: (journal: Journal) => Promise<T>): Promise<T> => {
  const journal = await createSqliteJournal({ directory });
  try {
    return await run(journal);
  } finally {
    await journal.close();
  }
};

const inDirectory = (run: (directory: string) => Promise<void>) => async () => {
  const { directory, remove } = await temporaryDirectory();
  try {
    await run(directory);
  } finally {
    await remove();
  }
};

/** What somebody who has the file does to it. */
const tamper = (directory: string, sql: string): void => {
  const db = new DatabaseSync(path.join(directory, 'journal.db'));
  db.exec(sql);
  db.close();
};

const verify = (directory: string, head?: AuditHead): Promise<AuditVerdict> =>
  withJournal(directory, (journal) => journal.reads.verifyAudit(head));

const pruneAudit = (directory: string, n: number): Promise<number> =>
  withJournal(
    directory,
    async (journal) => (await pruneAll(journal, { auditBefore: auditEntry(n).at })).counts.records,
  );

/** An audit of 500 records whose first 300 were pruned in two steps; the checkpoint of the first step is kept aside. */
const prunedAudit = async (directory: string): Promise<AuditHead> => {
  const head = await withJournal(directory, async (journal) => {
    await journal.note(Array.from({ length: 500 }, (_, index) => auditEntry(index + 1)));
    return exportedHead(journal);
  });
  tamper(directory, 'CREATE TABLE stolen AS SELECT * FROM audit');
  assert.is(await pruneAudit(directory, 150), 150);
  tamper(directory, 'CREATE TABLE aside AS SELECT * FROM checkpoint');
  assert.is(await pruneAudit(directory, 300), 150);
  return head;
};

const TAMPERINGS: readonly (readonly [what: string, sql: string, firstBad: number])[] = [
  ['the checkpoint removed', 'DELETE FROM checkpoint', 1],
  ['a later checkpoint made up', `UPDATE checkpoint SET n = 310; DELETE FROM audit WHERE n <= 310`, 1],
  [
    'a later checkpoint with the right mac',
    `UPDATE checkpoint SET n = 310, mac = (SELECT mac FROM audit WHERE n = 310); DELETE FROM audit WHERE n <= 310`,
    1,
  ],
  ['another seal', `UPDATE checkpoint SET seal = replace(seal, substr(seal, 1, 1), 'x')`, 1],
  ['a seal that is no text', `UPDATE checkpoint SET seal = 7`, 1],
  ['the seal of the record itself', `UPDATE checkpoint SET seal = mac`, 1],
  ['an older checkpoint put back', `DELETE FROM checkpoint; INSERT INTO checkpoint SELECT * FROM aside`, 151],
  ['a gap after the checkpoint', 'DELETE FROM audit WHERE n BETWEEN 301 AND 304', 301],
  ['a changed record behind it', `UPDATE audit SET text = replace(text, 'alice', 'mallory') WHERE n = 400`, 400],
  ['a record put before it', `INSERT INTO audit SELECT * FROM stolen WHERE n = 300`, 301],
];

for (const [what, sql, firstBad] of TAMPERINGS) {
  test(
    `${what}: detected and named, and never pruned away`,
    inDirectory(async (directory) => {
      const head = await prunedAudit(directory);
      assert.equal(await verify(directory, head), {
        valid: true,
        records: 200,
        head: `500:${head.mac}`,
        first: 301,
      });
      tamper(directory, sql);
      const found = await verify(directory);
      assert.equal([found.valid, found.firstBad], [false, firstBad]);
      await pruneAudit(directory, 10_000);
      const again = await verify(directory);
      assert.equal([again.valid, again.firstBad], [false, firstBad], 'after another pruning');
    }),
  );
}

test(
  'all pruned and the checkpoint gone shows against the exported head',
  inDirectory(async (directory) => {
    const head = await prunedAudit(directory);
    assert.is(await pruneAudit(directory, 500), 200);
    assert.is((await verify(directory, head)).valid, true);
    tamper(directory, 'DELETE FROM checkpoint');
    const { valid, firstBad } = await verify(directory, head);
    assert.equal([valid, firstBad], [false, 1]);
  }),
);

test(
  'with all of its records pruned the audit still needs its key',
  inDirectory(async (directory) => {
    await prunedAudit(directory);
    await pruneAudit(directory, 500);
    renameSync(path.join(directory, 'audit.key'), path.join(directory, 'elsewhere'));
    const error = await createSqliteJournal({ directory }).then(
      () => null,
      (cause: Error) => cause,
    );
    assert.match(error?.message ?? '', 'audit.key');
  }),
);

test(
  'a check goes on while records are pruned under it',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      await journal.note(Array.from({ length: 1_000 }, (_, index) => auditEntry(index + 1)));
      const head = await exportedHead(journal);
      const reads = createSqliteReads({ directory, settle: async () => {} });
      let isOver = false;
      const checking = reads.verifyAudit(head).finally(() => (isOver = true));
      for (let n = 300; !isOver; n += 250) {
        await journal.prune({ before: 0, auditBefore: auditEntry(Math.min(n, 900)).at });
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { valid, firstBad } = await checking;
      assert.equal([valid, firstBad], [true, undefined]);
      await pruneAll(journal, { auditBefore: auditEntry(900).at });
      const { records, first } = await reads.verifyAudit(head);
      assert.equal([records, first], [100, 901]);
      reads.close();
    }),
  ),
);

/** A closed session with so many executions and packs of events, all in the tables. */
const largeSession = async (journal: Journal, executions: number): Promise<void> => {
  const writer = await createWriter(journal, 1);
  let seq = 0;
  for (let n = 0; n < executions; n += 20) {
    await writer.commit({
      at: 1_000,
      actors: [
        { key: sessionKey(1), state: 'active', label: 'alice' },
        ...Array.from({ length: 20 }, (_, index) => ({
          key: executionKey(1, n + index),
          state: 'completed',
          done: true,
          aliases: [`alias ${n + index}`],
        })),
      ],
      events: Array.from({ length: 20 }, () => [sessionId(1), (seq += 1), 'execution_completed', 'x'] as const),
      remembered: [[sessionId(1), `k${n}`, '1']],
    });
    await applyAll(journal);
  }
  await writer.commit({ at: 1_000, actors: [{ key: sessionKey(1), state: 'closed', done: true }] });
  await applyAll(journal);
};

const rowsOf = (directory: string): Record<string, unknown> => {
  const db = new DatabaseSync(path.join(directory, 'journal.db'), { readOnly: true });
  const tables = ['actors', 'aliases', 'events', 'remembered', 'sessions', 'leaving', 'unlinking'];
  const counts = tables.map((table) => [table, db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n']]);
  db.close();
  return Object.fromEntries(counts) as Record<string, unknown>;
};

test(
  'a large session goes in bites, commits go on in between, and a restart in the middle goes on',
  inDirectory(async (directory) => {
    const limits = { before: 1_000, auditBefore: 0 };
    await withJournal(directory, async (journal) => {
      await largeSession(journal, 1_000);
      const writer = await createWriter(journal, 1);
      for (let seq = 1; seq <= 5; seq += 1) {
        const { counts, more } = await journal.prune(limits);
        assert.ok(counts.actors > 0 && counts.actors <= 32, `${counts.actors} in one call`);
        assert.is(more, true);
        const verdict = await writer.commit({
          actors: [{ key: sessionKey(2) }],
          events: [[sessionId(2), seq, 'execution_output']],
        });
        assert.is(verdict, 'committed');
      }
      assert.is((await journal.load(sessionId(2))).seq, 5);
    });
    await withJournal(directory, async (journal) => {
      const left = rowsOf(directory)['actors'] as number;
      assert.ok(left > 600, `${left} actors are left`);
      const { counts, unlinked } = await pruneAll(journal, limits);
      assert.equal([counts.sessions, unlinked.length], [1, 1_000]);
      const { log: _, ...rows } = rowsOf(directory);
      const others = { actors: 1, aliases: 0, events: 1, remembered: 0, sessions: 1, leaving: 0, unlinking: 0 };
      assert.equal(rows, others);
    });
  }),
);

test(
  'a call that fails removes nothing and names nothing, and the journal goes on',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      await largeSession(journal, 20);
      await journal.note([auditEntry(1)]);
      const before = rowsOf(directory);
      const limits = { before: 1_000, auditBefore: auditEntry(1).at };
      tamper(
        directory,
        `CREATE TRIGGER failing BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'made to fail'); END`,
      );
      await journal.prune(limits).then(
        () => assert.unreachable('it was made to fail'),
        (error: unknown) => assert.instance(error, StoreFailedError),
      );
      assert.equal(rowsOf(directory), before);
      assert.is((await journal.reads.verifyAudit()).records, 1);
      tamper(directory, 'DROP TRIGGER failing');
      await journal.note([auditEntry(2)]);
      const { counts, unlinked } = await pruneAll(journal, limits);
      assert.equal([counts.sessions, counts.records, unlinked.length], [1, 1, 20]);
    }),
  ),
);

test(
  'a session that is being removed is out of sight from the first call on',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      await largeSession(journal, 40);
      // Nothing of it but the session itself has fallen due.
      tamper(directory, `UPDATE actors SET ended = 2000 WHERE kind = 'execution'`);
      await createWriter(journal, 2);
      const before = rowsOf(directory);
      let first = true;
      for (let more = true; more; first = false) {
        ({ more } = await journal.prune({ before: 1_000, auditBefore: 0 }));
        if (!first) continue;
        assert.is(await journal.reads.actor(sessionKey(1)), null);
        assert.equal(await journal.reads.labelled('session', 'alice', { limit: 9 }), []);
      }
      assert.is(before['actors'], 41);
      assert.is(rowsOf(directory)['actors'], 0);
    }),
  ),
);

test(
  'events that were packed together go together, when the newest of them is old',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      const writer = await createWriter(journal, 1);
      const session = sessionId(1);
      for (const [seq, at] of [1_000, 3_000].entries())
        await writer.commit({ at, actors: [{ key: sessionKey(1) }], events: [[session, seq + 1, 'execution_output']] });
      await applyAll(journal);
      assert.is((await pruneAll(journal, { before: 2_999 })).counts.events, 0);
      assert.is((await pruneAll(journal, { before: 3_000 })).counts.events, 2);
      assert.is((await journal.reads.events(session, { after: 0, limit: 1 })).first, 3);
    }),
  ),
);

test(
  'what a single call leaves of the events is dense, also where all are of one time',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      const writer = await createWriter(journal, 1);
      const session = sessionId(1);
      for (let seq = 1; seq <= 150; seq += 1) {
        await writer.commit({
          at: 1_000,
          actors: [{ key: sessionKey(1) }],
          events: [[session, seq, 'execution_output']],
        });
        await applyAll(journal);
      }
      for (let more = true; more; ) {
        ({ more } = await journal.prune({ before: 1_000, auditBefore: 0 }));
        const { first, events } = await journal.reads.events(session, { after: 0, limit: 1_000 });
        assert.equal(
          events.map((event) => (JSON.parse(event) as { seq: number }).seq),
          events.map((_, index) => first + index),
        );
        assert.is(first + events.length, 151);
      }
    }),
  ),
);

test(
  'a session that the log still speaks of is left for a later call; an answer given too late leaves nothing behind',
  inDirectory(async (directory) =>
    withJournal(directory, async (journal) => {
      await largeSession(journal, 20);
      await journal.note([auditEntry(1)]);
      const writer = await createWriter(journal, 1);
      const late = { at: 900, remembered: [[sessionId(1), 'late', '1']] } as const;
      await writer.commit(late);
      assert.is((await pruneAll(journal, { before: 1_000 })).counts.sessions, 0);
      assert.is((await journal.reads.actor(sessionKey(1)))?.state, 'closed');
      await applyAll(journal);
      assert.is((await pruneAll(journal, { before: 1_000 })).counts.sessions, 1);
      await writer.commit(late);
      await applyAll(journal);
      assert.is(rowsOf(directory)['sessions'], 1);
      await pruneAll(journal, { before: 1_000 });
      const { sessions, remembered, actors } = rowsOf(directory);
      assert.equal([sessions, remembered, actors], [0, 0, 0]);
      assert.is((await journal.load(sessionId(1))).remembered.length, 0);
      assert.is(await journal.reads.find('execution', executionId(1)), null);
    }),
  ),
);

test.run();
