import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import mqtt from 'mqtt';
import { figure, freeze } from '../../support/frozen.ts';
import { UNLIMITED_GRANTS } from '../grants.ts';
import { asked, serve } from '../serve.ts';
import { print, quantile } from '../summary.ts';

/**
 * What those who stop reading cost the others: on one server a session that says much, undisturbed and with a dozen frozen
 * consumers of it by turns. How long an event takes from its turn to a client that reads (both have the clock of this
 * machine, in milliseconds), and how long a command of another session takes.
 */
const PAIRS = 5;
const BLOCK_MS = 6_000;
const WARM_UP_MS = 3_000;
/** Over each of TCP, WebSocket and SSE. */
const FROZEN = 4;
/** Results of 15,000 characters: 0.75 MB/s to each consumer, so that those that take nothing are cut within some seconds. */
const PAD = 15_000;
const PACE_MS = 20;
const MIB = 2 ** 20;

const noOp = fileURLToPath(new URL('../../support/commands/no-op.ts', import.meta.url));
const limits = { stalled: 1 };
const { workspace, server } = await serve(['noop', noOp], { policy: UNLIMITED_GRANTS, limits });
const loud = await server.open();
const quiet = await server.open();

/** Milliseconds since the epoch. */
const now = (): number => performance.timeOrigin + performance.now();

interface Block {
  /** Milliseconds of each. */
  readonly events: number[];
  readonly commands: number[];
  /** Resident memory of the server at its end, in MiB. */
  memory: number;
}
let current: Block = { events: [], commands: [], memory: 0 };

const reader = mqtt.connect(server.mqtt, {
  protocolVersion: 4,
  clientId: `${loud.client_id}:reader`,
  username: loud.client_id,
  password: loud.client_token,
});
reader.on('message', (_, payload) => {
  const at = now();
  const { timestamp } = JSON.parse(payload.toString()) as { timestamp: string };
  current.events.push(at - Date.parse(timestamp));
});
await reader.subscribeAsync(loud.event_channel, { qos: 0 });

const execute = (session: string, body: object): Promise<unknown> =>
  asked(server, 'POST', `/v1/sessions/${session}/commands`, { body, headers: { prefer: 'wait=30' } });

/** Begins `work` at a pace that does not depend on how long it takes. */
const pace = async (ms: number, work: () => Promise<unknown>): Promise<void> => {
  const under: Promise<unknown>[] = [];
  const started = performance.now();
  for (let next = started; next < started + ms; next += PACE_MS) {
    await sleep(Math.max(0, next - performance.now()));
    under.push(work());
  }
  await Promise.all(under);
};

const block = async (ms: number): Promise<Block> => {
  const mine: Block = (current = { events: [], commands: [], memory: 0 });
  await Promise.all([
    pace(ms, () => execute(loud.session_id, { command: 'no-op', args: { pad: PAD } })),
    pace(ms, async () => {
      const started = performance.now();
      await execute(quiet.session_id, { command: 'noop' });
      mine.commands.push(performance.now() - started);
    }),
  ]);
  mine.memory = (await figure(server, 'process_resident_memory_bytes')) / MIB;
  return mine;
};

const frozenBlock = async (): Promise<Block> => {
  const frozen = (await Promise.all(Array.from({ length: FROZEN }, () => freeze(server, loud)))).flat();
  const result = await block(BLOCK_MS);
  for (const each of frozen) each.end();
  return result;
};

await block(WARM_UP_MS);
await frozenBlock();
const pairs: { readonly without: Block; readonly beside: Block }[] = [];
for (let pair = 0; pair < PAIRS; pair++) {
  const isFirst = pair % 2 === 0;
  const first = isFirst ? await block(BLOCK_MS) : await frozenBlock();
  const second = isFirst ? await frozenBlock() : await block(BLOCK_MS);
  pairs.push(isFirst ? { without: first, beside: second } : { without: second, beside: first });
}
const all = (which: 'without' | 'beside', what: 'events' | 'commands'): number[] =>
  pairs.flatMap((pair) => pair[which][what]);
const ratio = (what: 'events' | 'commands'): number =>
  quantile(
    pairs.map(({ without, beside }) => quantile(beside[what], 0.99) / quantile(without[what], 0.99)),
    0.5,
  );
print({
  'events, undisturbed, p50 ms': quantile(all('without', 'events'), 0.5),
  'events, undisturbed, p99 ms': quantile(all('without', 'events'), 0.99),
  'events, beside frozen consumers, p50 ms': quantile(all('beside', 'events'), 0.5),
  'events, beside frozen consumers, p99 ms': quantile(all('beside', 'events'), 0.99),
  'events, p99 over undisturbed ×': ratio('events'),
  'commands, undisturbed, p50 ms': quantile(all('without', 'commands'), 0.5),
  'commands, undisturbed, p99 ms': quantile(all('without', 'commands'), 0.99),
  'commands, beside frozen consumers, p50 ms': quantile(all('beside', 'commands'), 0.5),
  'commands, beside frozen consumers, p99 ms': quantile(all('beside', 'commands'), 0.99),
  'commands, p99 over undisturbed ×': ratio('commands'),
  'memory, most undisturbed MiB': Math.max(...pairs.map(({ without }) => without.memory)),
  'memory, most beside frozen consumers MiB': Math.max(...pairs.map(({ beside }) => beside.memory)),
  'memory, beside over undisturbed MiB': quantile(
    pairs.map(({ without, beside }) => beside.memory - without.memory),
    0.5,
  ),
});
reader.end(true);
await workspace[Symbol.asyncDispose]();
process.exit(0);
