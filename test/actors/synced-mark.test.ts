import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StoreFailedError } from '../../actors/journal.ts';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import { scanWal } from '../../actors/sqlite-wal.ts';
import { allEvents, createWriter, eventText, sessionId } from '../contract/journal-turns.ts';

/** Promise 10, as far as SQLite's log is concerned. */
const test = suite('synced mark');

const SESSION = sessionId(1);
const TYPE = 'execution_output';
const FILES = ['journal.db', 'journal.db-wal', 'journal.synced', 'audit.key'] as const;
const WAL = 'journal.db-wal';
const FRAME = 24 + 4_096;
const HEADER = 32;

/** A directory as a crash leaves it, taken while the journal is open. */
interface Crash {
  readonly files: ReadonlyMap<string, Buffer>;
  /** The last event that was acknowledged. */
  readonly seq: number;
  /** Frames that were synced, and all there are. */
  readonly synced: number;
  readonly frames: number;
}

const wal = (crash: Crash): Buffer => Buffer.from(crash.files.get(WAL) as Buffer);

const image = (directory: string, seq: number): Crash => {
  const files = new Map(FILES.map((name) => [name, readFileSync(path.join(directory, name))]));
  const frames = scanWal(path.join(directory, WAL))?.committed ?? 0;
  return { files, seq, synced: Number(String(files.get('journal.synced')).slice(0, 10)), frames };
};

/** Commits, and then fills tables, which is not synced. */
const crashAfter = async (commits: number): Promise<Crash> => {
  const directory = mkdtempSync(path.join(tmpdir(), 'arbor-mark-'));
  try {
    const journal = await createSqliteJournal({ directory });
    const writer = await createWriter(journal, 1);
    for (let seq = 1; seq <= commits; seq++) await writer.commit({ events: [[SESSION, seq, TYPE, 'x'.repeat(3_000)]] });
    await journal.apply();
    const crash = image(directory, commits);
    await journal.close();
    return crash;
  } finally {
    rmSync(directory, { recursive: true });
  }
};

interface Opened {
  /** Why it was refused; null where it opened. */
  readonly refused: string | null;
  readonly cut: string | null;
  readonly events: readonly string[];
}

/** Opens what is left after something became of the log. */
const open = async (crash: Crash, harm: (directory: string) => void): Promise<Opened> => {
  const directory = mkdtempSync(path.join(tmpdir(), 'arbor-mark-'));
  let cut: string | null = null;
  try {
    for (const [name, bytes] of crash.files) writeFileSync(path.join(directory, name), bytes);
    harm(directory);
    const journal = await createSqliteJournal({ directory, onFound: (found) => ({ cut } = found) });
    const events = await allEvents(journal, SESSION, { limit: 1_000 });
    await journal.close();
    // Whatever was found, it is well afterwards.
    await (await createSqliteJournal({ directory })).close();
    return { refused: null, cut, events };
  } catch (error) {
    assert.instance(error, StoreFailedError, String((error as Error).stack));
    return { refused: (error as Error).message, cut, events: [] };
  } finally {
    rmSync(directory, { recursive: true });
  }
};

const write = (bytes: Uint8Array) => (directory: string) => writeFileSync(path.join(directory, WAL), bytes);
const cutAt = (size: number) => (directory: string) => truncateSync(path.join(directory, WAL), size);
const expected = (seq: number): string[] =>
  Array.from({ length: seq }, (_, index) => eventText(SESSION, index + 1, TYPE, 'x'.repeat(3_000)));

const crash = await crashAfter(12);

test('what a crash leaves is whole', async () => {
  assert.ok(crash.synced > 20, `${crash.synced} synced`);
  assert.ok(crash.frames > crash.synced, `${crash.frames} frames, ${crash.synced} synced: applying is not synced`);
  const { refused, cut, events } = await open(crash, () => {});
  assert.equal([refused, cut], [null, null]);
  assert.equal(events, expected(crash.seq));
});

test('a tail that was never synced may be torn anywhere: it is cut and told of, and nothing acknowledged is lost', async () => {
  const from = HEADER + crash.synced * FRAME;
  const to = HEADER + crash.frames * FRAME;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: from, max: to }), async (size) => {
      const { refused, cut, events } = await open(crash, cutAt(size));
      assert.is(refused, null);
      assert.equal(events, expected(crash.seq));
      const torn = size - from >= 16 && size < to;
      assert.is(cut !== null, torn, `${size - from} bytes of the tail: ${cut}`);
      if (torn) assert.match(String(cut), new RegExp(`journal\\.db-wal: \\d+ bytes from byte ${from} on`));
    }),
    { numRuns: 25 },
  );
  // A power cut keeps what it likes of what was not synced, in any order.
  await fc.assert(
    fc.asyncProperty(fc.infiniteStream(fc.boolean()), async (kept) => {
      const bytes = wal(crash);
      for (let at = from - (from % 512) + 512; at < to; at += 512)
        if (kept.next().value !== true) bytes.fill(0, at, Math.min(at + 512, to));
      const { refused, events } = await open(crash, write(bytes));
      assert.is(refused, null);
      assert.equal(events, expected(crash.seq));
    }),
    { numRuns: 15 },
  );
});

test('a flipped bit in what was synced refuses to start and names the frame, or the header', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.integer({ min: 0, max: HEADER - 1 }),
        fc.integer({ min: HEADER, max: HEADER + crash.synced * FRAME - 1 }),
      ),
      fc.integer({ min: 0, max: 7 }),
      async (at, bit) => {
        const bytes = wal(crash);
        bytes[at] = (bytes[at] as number) ^ (1 << bit);
        const { refused } = await open(crash, write(bytes));
        assert.ok(refused !== null, `byte ${at}, bit ${bit}`);
        const frame = Math.floor((at - HEADER) / FRAME) + 1;
        const place = at < HEADER ? 'its header \\(byte 0\\)' : `frame (\\d+) of ${crash.synced} \\(byte \\d+\\)`;
        const [, said = '0'] = new RegExp(`journal\\.db-wal is damaged: ${place}`).exec(refused) ?? [
          refused,
          'nothing',
        ];
        if (at >= HEADER) assert.is(Number(said), frame, refused);
      },
    ),
    { numRuns: 60 },
  );
});

test('what was synced and is cut off refuses to start, down to nothing at all', async () => {
  const to = HEADER + crash.synced * FRAME - 1;
  for (const size of [to, to - 100, to - FRAME, Math.floor(to / 2), HEADER + 5, HEADER, 7]) {
    const { refused } = await open(crash, cutAt(size));
    assert.match(refused ?? 'it opened', /journal\.db-wal is damaged: (frame \d+ of|its header)/, `${size}`);
  }
  assert.match((await open(crash, cutAt(0))).refused ?? 'it opened', /damaged: it is empty/);
  const gone = await open(crash, (directory) => rmSync(path.join(directory, WAL)));
  assert.match(gone.refused ?? 'it opened', /damaged: it is gone/);
});

test('without the mark it starts with what is left, and says what it cut', async () => {
  const without = (size: number) => (directory: string) => {
    cutAt(size)(directory);
    rmSync(path.join(directory, 'journal.synced'));
  };
  const { refused, cut, events } = await open(crash, without(HEADER + (crash.synced - 1) * FRAME + 100));
  assert.is(refused, null);
  assert.match(cut ?? 'nothing', /were not committed and are cut/);
  assert.ok(events.length > 0 && events.length < crash.seq);
  assert.equal(events, expected(events.length));
});

test('a mark that a power cut has torn, or that is of an earlier log, says nothing', async () => {
  const mark = String(crash.files.get('journal.synced'));
  for (const text of [
    '',
    '\0'.repeat(mark.length),
    mark.slice(0, 20),
    mark.replace(/^\d/, '9'),
    `0000000099 ${'0'.repeat(16)} x\n`,
  ]) {
    const { refused, events } = await open(crash, (directory) =>
      writeFileSync(path.join(directory, 'journal.synced'), text),
    );
    assert.is(refused, null, JSON.stringify(text));
    assert.equal(events, expected(crash.seq));
  }
  const later = await crashAfter(3);
  const { refused } = await open(later, (directory) => writeFileSync(path.join(directory, 'journal.synced'), mark));
  assert.is(refused, null, 'another log has other salts');
});

test('a start that is refused for another reason, and one that ends at once, leave no mark that speaks of damage', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'arbor-mark-'));
  try {
    for (const [name, bytes] of crash.files) writeFileSync(path.join(directory, name), bytes);
    copyFileSync(path.join(directory, 'audit.key'), path.join(directory, 'kept'));
    writeFileSync(path.join(directory, 'audit.key'), 'x');
    const refused = await createSqliteJournal({ directory }).then(
      (journal) => journal.close(),
      (error: Error) => error.message,
    );
    assert.not.match(String(refused), 'damaged');
    copyFileSync(path.join(directory, 'kept'), path.join(directory, 'audit.key'));
    for (let n = 0; n < 2; n++) await (await createSqliteJournal({ directory })).close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.run();
