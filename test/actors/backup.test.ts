import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeArtifact } from '../../actors/artifacts.ts';
import { type BackedUp, backUp } from '../../actors/backup.ts';
import { readManifest } from '../../actors/backup-manifest.ts';
import type { Journal } from '../../actors/journal.ts';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import { restore, type Restored } from '../../actors/restore.ts';
import { MIGRATIONS } from '../../actors/sqlite-schema.ts';
import { auditEntry, exportedHead } from '../contract/journal-audit.ts';
import {
  allEvents,
  applyAll,
  createWriter,
  executionId,
  executionKey,
  sessionId,
  sessionKey,
} from '../contract/journal-turns.ts';
import { temporaryDirectory } from '../support/ring.ts';

const test = suite('backup');

interface Place {
  readonly root: string;
  /** The data directory. */
  readonly data: string;
  /** Where the backup goes. */
  readonly target: string;
  backUp(): Promise<BackedUp>;
  restore(to: string, force?: boolean): Promise<Restored>;
}

const inPlace = (run: (place: Place) => Promise<void>) => async () => {
  const { directory: root, remove } = await temporaryDirectory();
  const [data, target] = [join(root, 'data'), join(root, 'backup')];
  try {
    await run({
      root,
      data,
      target,
      backUp: () => backUp({ directory: data, target, version: '9.9.9', now: 1_700_000_000_000 }),
      restore: (to, force = false) => restore({ backup: target, directory: to, force, now: 1_700_000_000_000 }),
    });
  } finally {
    await remove();
  }
};

const failure = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'nothing failed',
    (error: Error) => error.message,
  );

const artifactsOf = (names: readonly string[]) => ({ artifacts: names.map((name) => ({ name, bytes: 1 })) });

/** A journal that goes on: an execution in its tables and one in its log, each with an artifact, and an audit. */
const filled = async (data: string): Promise<Journal> => {
  const journal = await createSqliteJournal({ directory: data });
  const writer = await createWriter(journal, 1);
  const complete = async (n: number, ...names: string[]): Promise<void> => {
    for (const name of names) await writeArtifact(join(data, 'artifacts'), executionId(n), name, name, 'text/plain');
    await writer.commit({
      actors: [
        { key: sessionKey(1), state: 'active' },
        { key: executionKey(1, n), state: 'completed', done: true, context: artifactsOf(names) },
      ],
      events: [[sessionId(1), n, 'execution_completed']],
    });
  };
  await complete(1, 'größe.txt', 'b');
  await applyAll(journal);
  await complete(2, 'c');
  await journal.note([auditEntry(1), auditEntry(2)]);
  // Of an execution that has not ended: no row names it.
  await writeArtifact(join(data, 'artifacts'), executionId(3), 'unnamed', 'x', 'text/plain');
  writeFileSync(join(data, 'credentials.json'), '{}', { mode: 0o600 });
  writeFileSync(join(data, 'credentials.json.new'), 'half');
  writeFileSync(join(data, 'webhooks.key'), '0'.repeat(64), { mode: 0o600 });
  return journal;
};

const treeOf = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(directory, path)).isFile())
    .toSorted();

test(
  'what is committed is in the backup of an open journal, its log included, with what it names and what it needs',
  inPlace(async ({ data, target, root, ...on }) => {
    const journal = await filled(data);
    const head = await exportedHead(journal);
    const { manifest, artifacts, missing } = await on.backUp();
    assert.equal([artifacts, missing, manifest.version, manifest.format], [3, 0, '9.9.9', 1]);
    // The journal goes on as if nothing had been.
    await journal.note([auditEntry(3)]);
    await journal.close();

    const named = [1, 1, 2].map((n, index) =>
      join('artifacts', executionId(n), ['größe.txt', 'b', 'c'][index] as string),
    );
    const files = ['audit.key', 'credentials.json', 'journal.db', 'webhooks.key', ...named].toSorted();
    assert.equal(treeOf(target), [...files, 'manifest.json'].toSorted());
    assert.equal(manifest.files.map(({ path }) => path).toSorted(), files);
    assert.equal(readManifest(target), manifest);
    for (const file of [...files, 'manifest.json']) assert.is(statSync(join(target, file)).mode & 0o777, 0o600, file);
    assert.is(statSync(target).mode & 0o777, 0o700);
    assert.equal(readdirSync(root).toSorted(), ['backup', 'data']);

    const to = join(root, 'deep', 'restored');
    assert.equal(await on.restore(to), { manifest, movedTo: null });
    assert.equal(treeOf(to), files);
    for (const file of files) assert.is(statSync(join(to, file)).mode & 0o777, 0o600, file);
    const again = await createSqliteJournal({ directory: to });
    assert.is((await allEvents(again, sessionId(1), { limit: 9 })).length, 2);
    assert.is((await again.reads.find('execution', executionId(2)))?.done, true);
    const { valid, records } = await again.reads.verifyAudit(head);
    assert.equal([valid, records], [true, 2]);
    await again.note([auditEntry(3)]);
    await again.close();
    assert.equal(readdirSync(join(root, 'deep')), ['restored']);
  }),
);

test(
  'an artifact that is pruned meanwhile is left out and counted',
  inPlace(async ({ data, target, root, ...on }) => {
    const journal = await filled(data);
    rmSync(join(data, 'artifacts', executionId(1)), { recursive: true });
    const { artifacts, missing } = await on.backUp();
    assert.equal([artifacts, missing], [1, 2]);
    await journal.close();
    await on.restore(join(root, 'restored'));
    assert.is(existsSync(join(target, 'artifacts', executionId(1))), false);
  }),
);

test(
  'a backup that fails leaves nothing, and never takes the place of another',
  inPlace(async ({ data, target, root, ...on }) => {
    assert.match(await failure(on.backUp()), `--data: there is no journal in ${data}`);
    mkdirSync(data);
    writeFileSync(join(data, 'journal.db'), 'x'.repeat(8_192));
    assert.match(await failure(on.backUp()), join(data, 'journal.db'));
    rmSync(data, { recursive: true });
    const journal = await filled(data);
    await applyAll(journal);
    await journal.close();
    mkdirSync(target);
    assert.match(await failure(on.backUp()), `${target} is there already`);
    assert.equal(readdirSync(target), []);
    rmSync(target, { recursive: true });
    const nowhere = backUp({ directory: data, target: join(root, 'no', 'where'), version: '1', now: 0 });
    assert.match(await failure(nowhere), join(root, 'no'));
    // Damage in the middle of the file.
    const file = join(data, 'journal.db');
    const bytes = readFileSync(file);
    bytes.fill(0xff, 4 * 4_096, 6 * 4_096);
    writeFileSync(file, bytes);
    assert.match(await failure(on.backUp()), file);
    assert.equal(readdirSync(root).toSorted(), ['data']);
  }),
);

const DAMAGES: readonly (readonly [what: string, file: string, harm: (file: string) => void, says: string])[] = [
  [
    'a byte of the database',
    'journal.db',
    (file) => {
      const bytes = readFileSync(file);
      bytes[5_000] = (bytes[5_000] as number) ^ 1;
      writeFileSync(file, bytes);
    },
    'is damaged',
  ],
  ['a byte of an artifact', join('artifacts', executionId(2), 'c'), (file) => writeFileSync(file, 'd'), 'is damaged'],
  ['a file that is cut', 'audit.key', (file) => truncateSync(file, 10), 'is damaged'],
  ['a file that is missing', 'credentials.json', (file) => rmSync(file), 'is missing'],
  ['no manifest', 'manifest.json', (file) => rmSync(file), 'is no whole backup'],
  ['a manifest that is cut', 'manifest.json', (file) => truncateSync(file, 50), 'is no JSON'],
  [
    'a manifest that leads elsewhere',
    'manifest.json',
    (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('audit.key', '../audit.key')),
    'a path inside the backup',
  ],
  [
    'a manifest of a later format',
    'manifest.json',
    (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"format": 1', '"format": 2')),
    'format',
  ],
  [
    'a later schema',
    'manifest.json',
    (file) => writeFileSync(file, readFileSync(file, 'utf8').replace(/"schema": \d+/, '"schema": 99')),
    'has schema 99',
  ],
  [
    'a manifest without a database',
    'manifest.json',
    (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('journal.db', 'journal.da')),
    'holds no journal.db',
  ],
];

for (const [what, file, harm, says] of DAMAGES) {
  test(
    `${what}: refused by name, and nothing is put in place`,
    inPlace(async ({ data, target, root, ...on }) => {
      await (await filled(data)).close();
      await on.backUp();
      harm(join(target, file));
      const message = await failure(on.restore(join(root, 'restored')));
      assert.match(message, says);
      assert.match(message, target);
      if (says.startsWith('is')) assert.match(message, file === 'manifest.json' ? target : file);
      assert.not.match(message, '\n');
      assert.not.ok(existsSync(join(root, 'restored')));
      const before = treeOf(data);
      await failure(on.restore(data, true));
      assert.equal(treeOf(data), before, 'a directory that was there');
      assert.equal(readdirSync(root).toSorted(), ['backup', 'data']);
    }),
  );
}

test(
  'a directory in use, or with anything in it, is left alone; with force it is moved aside whole',
  inPlace(async ({ data, root, ...on }) => {
    const journal = await filled(data);
    await on.backUp();
    const refused = await failure(on.restore(data));
    assert.match(refused, `--data: ${data} is not empty`);
    assert.match(await failure(on.restore(data, true)), `${data} is in use`);
    await journal.note([auditEntry(3)]);
    await journal.close();
    assert.match(await failure(on.restore(data)), 'is not empty');

    const before = treeOf(data);
    const { movedTo } = await on.restore(data, true);
    assert.is(movedTo, `${data}.before-2023-11-14T22-13-20-000Z`);
    assert.equal(treeOf(movedTo as string), before);
    const old = await createSqliteJournal({ directory: movedTo as string });
    assert.is((await old.reads.verifyAudit()).records, 3);
    await old.close();
    const restored = await createSqliteJournal({ directory: data });
    assert.is((await restored.reads.verifyAudit()).records, 2);
    await restored.close();

    mkdirSync(join(root, 'empty'));
    assert.is((await on.restore(join(root, 'empty'))).movedTo, null);
    writeFileSync(join(root, 'file'), '');
    assert.match(await failure(on.restore(join(root, 'file'), true)), join(root, 'file'));
  }),
);

test(
  'the backup of an older schema is left as it is, and is brought up when it is opened',
  inPlace(async ({ data, target, root, ...on }) => {
    mkdirSync(data);
    const db = new DatabaseSync(join(data, 'journal.db'));
    for (const step of MIGRATIONS.slice(0, 1)) db.exec(step);
    db.exec(`CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID`);
    db.exec(`INSERT INTO meta VALUES ('schema', 1)`);
    db.close();
    assert.is((await on.backUp()).manifest.schema, 1);
    await on.restore(join(root, 'restored'));
    await (await createSqliteJournal({ directory: join(root, 'restored') })).close();
    assert.is(readManifest(target).schema, 1);
  }),
);

test.run();
