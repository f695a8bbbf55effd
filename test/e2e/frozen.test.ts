import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { figure, freeze } from '../support/frozen.ts';
import { within } from '../support/mqtt-wire.ts';
import { createWorkspace, eventually } from '../support/server.ts';
import { checkLog } from './log-laws.ts';
import { watchMqtt, watchSse } from './witness.ts';

/** Promise 14 for those who do not read: they are cut off within bounds, and cost others nothing. */
const test = suite('frozen consumers');

const MIB = 2 ** 20;
/** Characters of a result: an event stays below its bound. */
const PAD = 15_000;
const LANES = 8;
/** What a kernel takes for a reader that does not read, both ends together, is far less than this. */
const MOST_MIB = 160;
/** Backlogs, and what the garbage collector leaves lying about; far less than what was sent. */
const GROWTH_MIB = 200;

test('those who stop reading are cut off; others hear all in order, and memory is bounded', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['no-op'], agents: { threads: 2 }, limits: { stalled: 1 } });
  const server = await space.serve({ config });
  const own = await server.open();
  const session = own.session_id as string;
  const other = await server.open();
  const witnesses = [await watchSse(server, session, own.client_token), await watchMqtt(server, own)];
  const before = await figure(server, 'process_resident_memory_bytes');
  const frozen = await freeze(server, own);
  assert.is(await figure(server, 'arbor_mqtt_connections'), 3, 'two that are frozen, and one that is not');

  let going = true;
  let sent = 0;
  const lane = async (): Promise<void> => {
    while (going && sent < MOST_MIB * MIB) {
      sent += PAD;
      const { body, text } = await server.execute(session, { command: 'no-op', args: { pad: PAD } }, 'wait=60');
      assert.is(body.status, 'completed', text);
    }
  };
  const load = Promise.all(Array.from({ length: LANES }, lane));
  load.catch(() => undefined);
  const isCut = async (): Promise<boolean> =>
    (await figure(server, 'arbor_mqtt_connections')) === 1 && (await figure(server, 'arbor_streams_cut_total')) === 1;
  await eventually('all of them are cut off', isCut);
  // Nobody else noticed.
  const { body, text } = await server.execute(other.session_id, { command: 'no-op', args: { value: 1 } }, 'wait=30');
  assert.equal([body.status, body.result?.value], ['completed', 1], text);
  going = false;
  await within('end of the load', load, 60_000);
  assert.ok(sent < MOST_MIB * MIB, 'they were cut off before all was sent');
  assert.match(server.stderr(), /too slow for what it subscribes to/);

  const log = await server.events(session);
  for (const { name, seen } of witnesses)
    await eventually(`${name} has heard all`, () => seen.at(-1)?.seq === log.length);
  checkLog(log, [], witnesses);
  const grown = ((await figure(server, 'process_resident_memory_bytes')) - before) / MIB;
  process.stdout.write(`${Math.round(sent / MIB)} MiB were sent, ${Math.round(grown)} MiB more memory\n`);
  assert.ok(grown < GROWTH_MIB, `${Math.round(grown)} MiB more memory`);
  for (const each of [...frozen, ...witnesses]) each.end();
});

test.run();
