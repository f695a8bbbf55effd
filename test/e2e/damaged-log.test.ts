import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createWorkspace, eventually, type Workspace } from '../support/server.ts';
import { startLoad } from './load.ts';
import { checkSession } from './log-laws.ts';
import { watchMqtt } from './witness.ts';

/** Promise 10: a torn tail is cut and told of, damage refuses to start and names the place. */
const test = suite('damaged log');

const WAL = 'journal.db-wal';
const HEADER = 32;
const FRAME = 24 + 4_096;

/** Asserts that it does not start, with 1 and one line for people. */
const assertRefused = async (space: Workspace, data: string, line: RegExp): Promise<void> => {
  const flags = ['--data', data, '--http', '127.0.0.1:0', '--mqtt', '127.0.0.1:0'];
  const { code, stdout, stderr } = await space.arbor(['serve', ...flags]).ended();
  const said = stderr.split('\n').filter((each) => each !== '' && !each.startsWith('{'));
  assert.equal([code, stdout, said.length], [1, '', 1], stderr);
  assert.match(said[0] as string, line);
};

test('after kill -9: a torn tail is cut, with all that was acknowledged; damage refuses to start', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['no-op'], agents: { threads: 2 } });
  const server = await space.serve({ config });
  const own = await server.open();
  const witness = await watchMqtt(server, own);
  const load = startLoad(server, own.session_id);
  await eventually('load', () => load.accepted.length > 200);
  const syncedNow = (): number => Number(readFileSync(join(server.data, 'journal.synced'), 'utf8').slice(0, 10));
  // The log begins anew whenever all of it was moved to the file.
  await eventually('a log of some length', () => syncedNow() > 50);
  // At rest the mark is of this log: one that has just begun anew has none yet, and nothing to be damaged.
  await load.stop();
  await server.kill();
  await witness.over;

  const crash = readFileSync(join(server.data, WAL));
  const synced = syncedNow();
  assert.ok(synced > 4, `${synced} frames were synced`);
  /** The same crash with another log. */
  const withLog = (name: string, log: Uint8Array): string => {
    const data = join(space.directory, name);
    cpSync(server.data, data, { recursive: true });
    writeFileSync(join(data, WAL), log);
    return data;
  };
  const middle = HEADER + Math.floor(synced / 2) * FRAME;
  const flipped = Buffer.from(crash);
  flipped[middle + 2_000] = (flipped[middle + 2_000] as number) ^ 4;
  const place = `journal\\.db-wal is damaged: frame \\d+ of ${synced} \\(byte \\d+\\) does not check`;
  await assertRefused(space, withLog('flipped', flipped), new RegExp(`^arbor: --data: .*${place}`));

  // A transaction that was under way: its frames are there in part, and the last one is torn.
  const end = HEADER + synced * FRAME;
  const torn = Buffer.concat([crash.subarray(0, end), crash.subarray(end - 2 * FRAME, end - 1_000)]);
  const next = await space.serve({ config, data: withLog('torn', torn) });
  assert.match(
    next.stderr(),
    new RegExp(`journal\\.db-wal: ${2 * FRAME - 1_000} bytes from byte ${end} on \\(2 frames\\)`),
  );
  assert.match(next.stderr(), /the torn end of the log was cut/);
  await checkSession(next, own.session_id, load.accepted, [witness]);
  assert.is(await next.stop(), 0);

  // Pages that do not hang together: the first byte of a table's root says which kind of page it is.
  const database = join(server.data, 'journal.db');
  rmSync(join(server.data, WAL));
  rmSync(join(server.data, 'journal.synced'));
  const pages = readFileSync(join(space.directory, 'torn', 'journal.db'));
  pages[5 * 4_096] = (pages[5 * 4_096] as number) ^ 0x40;
  writeFileSync(database, pages);
  await assertRefused(space, server.data, /^arbor: --data: .*journal\.db is damaged: .*page 6\b/);
});

test.run();
