import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ROOMY_GRANTS } from '../grants.ts';
import { asked, serve } from '../serve.ts';
import { print, quantile, saturate } from '../summary.ts';

/**
 * Webhooks to a receiver on the same machine: how long after its turn an event's first attempt arrives, with nothing else
 * to do; deliveries a second while events come faster than that, over ten endpoints; and 10,000 deliveries that were
 * pending when the process was killed.
 */
const SINGLE = 300;
const EXECUTIONS = 2_000;
const ENDPOINTS = 10;
const PENDING = 10_000;
const IN_FLIGHT = 64;
const LIMIT_MS = 240_000;

interface Counted {
  readonly ids: number;
  readonly calls: number;
  readonly times: readonly number[];
}
const receiver = fork(fileURLToPath(new URL('../hook-receiver.ts', import.meta.url)), { stdio: 'inherit' });
const [{ port }] = (await once(receiver, 'message')) as [{ port: number }];
const tell = async (what: 'count' | 'hang' | 'answer' | 'forget'): Promise<Counted> => {
  receiver.send(what);
  const [counted] = (await once(receiver, 'message')) as [Counted];
  return counted;
};
const until = async (what: string, isSo: (counted: Counted) => boolean): Promise<Counted> => {
  for (const end = performance.now() + LIMIT_MS; ; ) {
    const counted = await tell('count');
    if (isSo(counted)) return counted;
    if (performance.now() > end) throw new Error(`not within ${LIMIT_MS} ms: ${what}, ${counted.ids} ids`);
    await pause(50);
  }
};

const settings = { policy: ROOMY_GRANTS, webhooks: { allow: ['127.0.0.1/32'] } };
const { workspace, server: first, again } = await serve(['noop'], settings, 900_000);
let server = first;
const open = async (types?: readonly string[]): Promise<string> => {
  const { session_id } = await server.open();
  const body = { url: `http://127.0.0.1:${port}/`, ...(types === undefined ? {} : { types }) };
  await asked(server, 'POST', `/v1/sessions/${session_id}/webhooks`, { body });
  return session_id as string;
};
const execute = async (session: string): Promise<void> => {
  const { status, text } = await server.execute(session, { command: 'noop', args: {} });
  if (status !== 202) throw new Error(text);
};

const [quiet] = [await open(['execution_completed'])];
for (let n = 0; n < SINGLE; n++) {
  await execute(quiet);
  await pause(10);
}
const { times } = await until('single events', ({ ids }) => ids === SINGLE);

await tell('forget');
const sessions: string[] = [];
for (let n = 0; n < ENDPOINTS; n++)
  sessions.push(await open(['execution_queued', 'execution_started', 'execution_completed']));
const started = performance.now();
await saturate(EXECUTIONS, IN_FLIGHT, (lane) => execute(sessions[lane % ENDPOINTS] as string));
const flood = await until('the flood', ({ ids }) => ids === 3 * EXECUTIONS);
const floodS = (performance.now() - started) / 1_000;

// Nothing is answered: what is made now is pending when the process dies.
await tell('forget');
await tell('hang');
await saturate(Math.ceil(PENDING / 3), IN_FLIGHT, (lane) => execute(sessions[lane % ENDPOINTS] as string));
await pause(2_000);
await server.kill();
await tell('forget');
await tell('answer');
const restarted = await again();
({ server } = restarted);
const since = performance.now();
const wanted = 3 * Math.ceil(PENDING / 3);
const recovered = await until('what was pending', ({ ids }) => ids >= wanted);
print({
  'turn to first attempt, p50 ms': quantile(times, 0.5),
  'turn to first attempt, p99 ms': quantile(times, 0.99),
  'deliveries to a local receiver /s': flood.ids / floodS,
  'calls for each delivery ×': flood.calls / flood.ids,
  'pending at kill -9 n': wanted,
  'delivered after it n': recovered.ids,
  'until all were delivered s': (performance.now() - since) / 1_000,
  'ready with them ms': restarted.ms,
});
receiver.kill();
await workspace[Symbol.asyncDispose]();
process.exit(0);
