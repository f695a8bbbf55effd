import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import { MIGRATIONS, schemaOf } from '../../actors/sqlite-schema.ts';
import { allRecords, auditEntry, auditText } from '../contract/journal-audit.ts';
import {
  allEvents,
  createWriter,
  eventText,
  executionKey,
  sessionId,
  sessionKey,
  turnText,
} from '../contract/journal-turns.ts';
import { temporaryDirectory } from '../support/ring.ts';

const test = suite('SQLite schema');

/** A database as the release with this schema left it: a shard that was claimed, a key, and a turn in the log. */
const leftBy = (directory: string, schema: number): void => {
  const db = new DatabaseSync(path.join(directory, 'journal.db'));
  for (const step of MIGRATIONS.slice(0, schema)) db.exec(step);
  db.exec(`
    CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('schema', ${schema});
    INSERT INTO shards VALUES (1, 1, 0, '{}', '{}');
    INSERT INTO keys VALUES ('k', 'op', 1, 'ff', 1, NULL)`);
  const { text } = turnText(1, 1, 1, {
    read: { main: 1 },
    actors: [{ key: sessionKey(1), state: 'active', label: 'alice' }],
    events: [[sessionId(1), 1, 'session_opened']],
    remembered: [[sessionId(1), 'k', '1']],
  });
  db.prepare('INSERT INTO log (text) VALUES (?)').run(text);
  db.close();
};

for (let schema = 1; schema < MIGRATIONS.length; schema++) {
  test(`a database of schema ${schema} opens with all it holds, and is gone on with`, async () => {
    const { directory, remove } = await temporaryDirectory();
    leftBy(directory, schema);
    const journal = await createSqliteJournal({ directory });
    const opened = await allEvents(journal, sessionId(1), { limit: 10 });
    assert.equal(opened, [eventText(sessionId(1), 1, 'session_opened')]);
    const { remembered, seq } = await journal.load(sessionId(1));
    assert.equal([remembered, seq], [[['k', '1']], 1]);
    assert.is((await journal.keys.find('k'))?.principal, 'op');
    assert.is(await journal.reads.alias('a'), null);
    assert.equal((await journal.reads.verifyAudit()).records, 0);

    const writer = await createWriter(journal, 1);
    assert.equal([writer.claim.epoch, writer.claim.turn, writer.claim.read], [2, 1, { main: 1 }]);
    const verdict = await writer.commit({
      actors: [
        { key: sessionKey(1), aliases: ['a'] },
        { key: executionKey(1, 1), aliases: ['a', 'b'] },
      ],
      events: [[sessionId(1), 2, 'client_joined']],
      audit: [auditText(1)],
    });
    assert.is(verdict, 'committed');
    await journal.note([auditEntry(2)]);
    await journal.close();

    const again = await createSqliteJournal({ directory });
    assert.is((await allEvents(again, sessionId(1), { limit: 10 })).length, 2);
    assert.is((await again.reads.alias('a'))?.key, sessionKey(1));
    assert.is((await again.reads.alias('b'))?.key, executionKey(1, 1));
    assert.equal(
      (await allRecords(again)).map(({ text }) => text),
      [auditText(1), auditText(2)],
    );
    assert.is((await again.reads.verifyAudit()).valid, true);
    await again.close();
    const db = new DatabaseSync(path.join(directory, 'journal.db'), { readOnly: true });
    assert.is(schemaOf(db), MIGRATIONS.length);
    db.close();
    await remove();
  });
}

test('schema 4 knows the times of what was there: from what it says itself, or from then on', async () => {
  const { directory, remove } = await temporaryDirectory();
  leftBy(directory, 2);
  const file = path.join(directory, 'journal.db');
  const at = (second: number): string => new Date(second * 1_000 + 5).toISOString();
  const event = (second: number): string => JSON.stringify({ seq: 1, timestamp: at(second), data: { text: 'ü,]' } });
  const before = new DatabaseSync(file);
  const actor = before.prepare(`
    INSERT INTO actors (session, kind, id, shard, version, state, done, context) VALUES ('s', ?, ?, 1, 1, 'x', ?, ?)`);
  actor.run('execution', 'a', 1, '{"ended_at":1005,"closed_at":null}');
  actor.run('session', 'b', 1, '{"closed_at":2005}');
  actor.run('client', 'c', 1, '{"left_at":3005}');
  actor.run('execution', 'd', 0, '{"ended_at":null}');
  actor.run('client', 'e', 1, '{"left_at":null}');
  actor.run('client', 'f', 1, 'no JSON');
  const pack = before.prepare(`INSERT INTO events (session, first, last, types, text) VALUES (?, ?, ?, 'x', ?)`);
  pack.run('s', 1, 2, `${event(1)}\n${event(2)}`);
  pack.run('s', 3, 3, event(1));
  pack.run('t', 1, 1, event(9));
  pack.run('u', 1, 1, 'no JSON');
  before.exec(`INSERT INTO sessions VALUES ('s', 3, 0), ('t', 1, 0), ('v', 0, 0)`);
  before.exec(`INSERT INTO remembered VALUES ('s', 1, 2, '["k",1]\n{"a":[1]}\n["l",4005]\n{"b":2}'), ('s', 3, 3, '')`);
  before.close();

  const began = Date.now();
  await (await createSqliteJournal({ directory })).close();
  const after = new DatabaseSync(file, { readOnly: true });
  /** What it does not say itself is shown as 'now'. */
  const times = (sql: string): unknown[] =>
    after
      .prepare(sql)
      .all()
      .map((row) => Object.values(row).map((value) => (Number(value) >= began - 1_000 ? 'now' : value)));
  assert.equal(times(`SELECT id, ended FROM actors WHERE session = 's' ORDER BY id`), [
    ['a', 1005],
    ['b', 2005],
    ['c', 3005],
    ['d', null],
    ['e', 'now'],
    ['f', 'now'],
  ]);
  assert.equal(times(`SELECT session, first, until FROM events WHERE length(session) = 1 ORDER BY session, first`), [
    ['s', 1, 2005],
    ['s', 3, 2005],
    ['t', 1, 9005],
    ['u', 1, 'now'],
  ]);
  assert.equal(times(`SELECT session, until FROM sessions WHERE length(session) = 1 ORDER BY session`), [
    ['s', 2005],
    ['t', 9005],
    ['v', 0],
  ]);
  assert.equal(times(`SELECT first, until FROM remembered WHERE session = 's' ORDER BY first`), [
    [1, 4005],
    [3, 'now'],
  ]);
  after.close();
  await remove();
});

test.run();
