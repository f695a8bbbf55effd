import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statfsSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StoreFailedError, type TurnText } from '../../actors/journal.ts';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import { createSqliteReads } from '../../actors/sqlite-reads.ts';
import { allRecords, auditEntry, auditText } from '../contract/journal-audit.ts';
import { allEvents, applyAll, createWriter, eventText, sessionId } from '../contract/journal-turns.ts';

const SESSION = sessionId(1);
const OTHER = sessionId(2);
const TYPE = 'execution_output';
const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

/** Child: commits for ever, and says the last `seq` after each commit. */
const commitForEver = async (directory: string): Promise<never> => {
  const journal = await createSqliteJournal({ directory });
  const writer = await createWriter(journal, 1);
  let { seq } = await journal.load(SESSION);
  for (let group = 0; ; group++) {
    const turns: TurnText[] = [];
    for (let n = 0; n <= group % 20; n++) {
      seq += 1;
      turns.push(writer.next({ events: [[SESSION, seq, TYPE, 'x'.repeat(500)]], audit: [auditText(seq)] }));
    }
    const verdicts = await journal.commit(turns);
    if (verdicts.some((verdict) => verdict !== 'committed')) throw new Error(verdicts.join());
    say(seq);
    if (seq > 1_000_000) throw new Error('nobody ended this process');
    if (group % 7 === 0) await journal.apply();
    // Lets the pipe drain, so that what is said is near what is done.
    await new Promise(setImmediate);
  }
};

/** Child: fills its small disk and says what happened. */
const fillDisk = async (directory: string): Promise<void> => {
  const journal = await createSqliteJournal({ directory });
  const reads = createSqliteReads({ directory, settle: () => applyAll(journal) });
  const writer = await createWriter(journal, 1);
  const other = await createWriter(journal, 2);
  await other.commit({ events: [[OTHER, 1, 'session_opened']] });
  await applyAll(journal);
  const filler = path.join(directory, 'filler');
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(filler, Buffer.alloc(bavail * bsize - 1_500_000));
  let seq = 0;
  let failures = 0;
  let waiting: TurnText | null = null;
  let cause: unknown;
  // Bounded: far more than the disk holds.
  for (let attempt = 0; failures < 5 && attempt < 5_000; attempt++) {
    waiting ??= writer.next({ events: [[SESSION, seq + 1, TYPE, 'x'.repeat(20_000)]] });
    const error = await failure(journal.commit([waiting]));
    if (error === null) {
      seq += 1;
      failures = 0;
      waiting = null;
    } else {
      failures += 1;
      cause = error;
    }
  }
  say({
    committed: seq,
    // What failed in SQLite's log is not built upon: it was begun anew.
    walBegunAnew: statSync(path.join(directory, 'journal.db-wal')).size < 200_000,
    refused: cause instanceof StoreFailedError && cause.cause !== undefined,
    refusedClaim: (await failure(journal.claim([2]))) instanceof StoreFailedError,
    refusedNote: (await failure(journal.note([auditEntry(1)]))) instanceof StoreFailedError,
    // Nothing of the session was applied before the disk was full.
    loaded: (await journal.load(SESSION)).seq,
    read: (await allEvents({ reads }, SESSION, { limit: 1_000 })).length,
    readOther: (await allEvents({ reads }, OTHER, { limit: 1_000 })).length,
    stillRefused: (await failure(journal.commit([waiting as TurnText]))) instanceof StoreFailedError,
  });
  truncateSync(filler);
  const after = await journal.commit([waiting as TurnText]);
  await journal.note([auditEntry(2)]);
  const { records, valid } = await journal.reads.verifyAudit();
  say({ after, claimed: (await journal.claim([2]))[0]?.epoch, records, valid });
  reads.close();
  await journal.close();
  const again = await createSqliteJournal({ directory });
  say({ reopened: (await again.load(SESSION)).seq, expected: seq + 1 });
  await again.close();
};

const [, file, role, directory] = process.argv;
if (role === 'commit') await commitForEver(directory as string);
else if (role === 'fill') await fillDisk(directory as string);
else {
  const start = (name: string, target: string): ChildProcess =>
    spawn(process.execPath, [file as string, name, target], { stdio: ['ignore', 'pipe', 'inherit'] });
  const linesOf = (child: ChildProcess) => createInterface({ input: child.stdout as NodeJS.ReadableStream });

  const test = suite('SQLite journal, crashing');

  test('what a killed process said it had committed is there, dense and whole, and its audit with it', async () => {
    const target = mkdtempSync(path.join(tmpdir(), 'arbor-journal-'));
    try {
      let said = 0;
      let head: { n: number; mac: string } | undefined;
      for (let round = 1; round <= 4; round++) {
        const child = start('commit', target);
        const exited = once(child, 'exit');
        let lines = 0;
        // What was still in the pipe when it was killed was said as well.
        for await (const line of linesOf(child)) {
          said = JSON.parse(line) as number;
          if (++lines === 17 * round) child.kill('SIGKILL');
        }
        await exited;
        assert.ok(lines >= 17 * round, 'the child ended by itself');
        const journal = await createSqliteJournal({ directory: target });
        const { seq } = await journal.load(SESSION);
        assert.ok(seq >= said, `${said} were committed, ${seq} are there`);
        const expected = Array.from({ length: seq }, (_, index) =>
          eventText(SESSION, index + 1, TYPE, 'x'.repeat(500)),
        );
        assert.equal(await allEvents(journal, SESSION, { limit: 1_000 }), expected);
        const records = await allRecords(journal);
        assert.equal(
          records.map(({ n, text }) => [n, text]),
          Array.from({ length: seq }, (_, index) => [index + 1, auditText(index + 1)]),
        );
        assert.is((await journal.reads.verifyAudit(head)).valid, true);
        head = records.at(-1);
        const { claim } = await createWriter(journal, 1);
        assert.is(claim.turn, seq);
        assert.is(claim.epoch, 2 * round);
        await journal.close();
      }
    } finally {
      rmSync(target, { recursive: true, force: true });
    }
  });

  test('on a full disk nothing is acknowledged, reads go on, and all is well once there is space', async () => {
    const target = mkdtempSync(path.join(tmpdir(), 'arbor-journal-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', target], { stdio: 'ignore' });
    } catch {
      rmSync(target, { recursive: true });
      process.stdout.write('# skip SQLite journal on a full disk: mounting a tmpfs is not permitted here\n');
      return;
    }
    try {
      const child = start('fill', target);
      const exited = once(child, 'exit');
      const said: Record<string, unknown>[] = [];
      for await (const line of linesOf(child)) said.push(JSON.parse(line) as Record<string, unknown>);
      assert.equal(await exited, [0, null]);
      const [full = {}, space = {}, reopened = {}] = said;
      const committed = full['committed'] as number;
      assert.ok(committed > 10, `${committed} committed`);
      assert.equal(full, {
        committed,
        walBegunAnew: true,
        refused: true,
        refusedClaim: true,
        refusedNote: true,
        loaded: committed,
        read: committed,
        readOther: 1,
        stillRefused: true,
      });
      assert.equal(space, { after: ['committed'], claimed: 2, records: 1, valid: true });
      assert.is(reopened['reopened'], reopened['expected']);
    } finally {
      execFileSync('umount', ['-l', target]);
      rmSync(target, { recursive: true, force: true });
    }
  });

  test.run();
}
