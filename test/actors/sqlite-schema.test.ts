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

test.run();
