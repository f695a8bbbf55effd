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

test('after kill -9: a torn tail is cut, with all that was acknowledged; whatever else is missing refuses to start', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['no-op'], agents: { threads: 2 } });
  const server = await space.serve({ config });
  const own = await server.open();
  const witness = await watchMqtt(server, own);
  const load = startLoad(server, own.session_id);
  await eventually('load', () => load.accepted.length > 200);
  await server.kill();
  await load.stop().catch(() => undefined);
  await witness.over;

  const crash = readFileSync(join(server.data, WAL));
  const synced = Number(readFileSync(join(server.data, 'journal.synced'), 'utf8').slice(0, 10));
  assert.ok(synced > 50, `${synced} frames were synced`);
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
  await assertRefused(space, withLog('cut', crash.subarray(0, middle + 77)), new RegExp(`^arbor: --data: .*${place}`));
  await assertRefused(
    space,
    withLog('empty', crash.subarray(0, 0)),
    /^arbor: --data: .*journal\.db-wal is damaged: it is empty/,
  );
  // It says the same again, and what is not touched in between is still there.
  await assertRefused(space, join(space.directory, 'cut'), new RegExp(place));
  rmSync(join(space.directory, 'cut', 'journal.synced'));

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

  // The way out that the line names: it starts without what is lost, and is consistent.
  const rest = await space.serve({ config, data: join(space.directory, 'cut') });
  assert.match(rest.stderr(), /the torn end of the log was cut/);
  const log = await rest.events(own.session_id);
  assert.equal(
    log.map(({ seq }) => seq),
    log.map((_, index) => index + 1),
  );
  assert.is(await rest.stop(), 0);
});

test('a database whose pages are damaged refuses to start', async () => {
  await using space = createWorkspace();
  const server = await space.serve();
  await server.open();
  assert.is(await server.stop(), 0);
  const file = join(server.data, 'journal.db');
  const whole = readFileSync(file);
  // The file's header, and the headers of pages.
  for (const at of [3, 4_096, 4 * 4_096 + 3, 5 * 4_096, 9 * 4_096 + 1]) {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] as number) ^ 0x40;
    writeFileSync(file, bytes);
    await assertRefused(space, server.data, /^arbor: --data: .*journal\.db/);
  }
  writeFileSync(file, whole);
  assert.is(await (await space.serve()).stop(), 0);
});

test.run();
