import { setTimeout as pause } from 'node:timers/promises';
import { createRandom, eventually, type ServerProcess } from '../../support/server.ts';
import { ROOMY_GRANTS } from '../grants.ts';
import { bytesIn, createSessions, residentMb } from '../load.ts';
import { asked, serve } from '../serve.ts';
import { print, quantile } from '../summary.ts';

/**
 * Sessions that sleep: what they cost in memory and on the disk, how soon a server with so many is ready again after
 * `kill -9`, and what the first call to one costs, beside the same call to one that is awake. `--sessions N` or
 * `ARBOR_BENCH_SESSIONS`; 100,000 unless said otherwise, 1,000,000 for the figure of the contract.
 *
 * Asleep: created, left alone until it is suspended (a minute), and not touched since the process has started. The disk
 * is warm: the kernel has read or written all of it lately.
 */
const flag = process.argv.indexOf('--sessions');
const SESSIONS = Number(flag < 0 ? process.env['ARBOR_BENCH_SESSIONS'] : process.argv[flag + 1]) || 100_000;
const CALLS = 2_000;
const WARM_UP = 300;
const LIFE_MS = 3_600_000;
/** After the last has been suspended. */
const IDLE_MS = 60_000;
const SUSPENDED_MS = 1_800_000;

const say = (text: string): void => void process.stderr.write(`${new Date().toISOString()} ${text}\n`);

const { workspace, server: first, again } = await serve(['noop'], { policy: ROOMY_GRANTS }, LIFE_MS);
const atStart = residentMb(first);
say(`creating ${SESSIONS} sessions`);
const { sessions, perSecond, refused } = await createSessions(first, SESSIONS);
const ids = sessions.map(([id]) => id);
const whenCreated = residentMb(first);
say(`created, ${Math.round(perSecond)} a second, ${Math.round(whenCreated)} MB; waiting until they are suspended`);

const random = createRandom(7);
const any = (): string => ids[Math.floor(random() * ids.length)] as string;
const isSuspended = async (server: ServerProcess, id: string): Promise<boolean> =>
  (await asked(server, 'GET', `/v1/sessions/${id}`)).status === 'suspended';
for (const id of [...ids.slice(-20), ...Array.from({ length: 20 }, any)])
  await eventually(`${id} is suspended`, () => isSuspended(first, id), SUSPENDED_MS);
await pause(IDLE_MS);
const idle = residentMb(first);
say(`suspended, ${Math.round(idle)} MB`);
const bytes = (await bytesIn(first.data)) / ids.length;
const page = performance.now();
await asked(first, 'GET', `/v1/sessions?limit=100&after=${any()}`);
const listed = performance.now() - page;
await first.kill();
const { server, ms: readyMs } = await again();
const restarted = residentMb(server);
say(`ready again in ${Math.round(readyMs)} ms, ${Math.round(restarted)} MB`);

const get = (id: string) => asked(server, 'GET', `/v1/sessions/${id}`);
/** One turn of the session, which has to be woken for it, and its commit. */
const register = (id: string) =>
  asked(server, 'POST', `/v1/sessions/${id}/clients`, { body: { client: { type: 'cli' } } });
/** As well the actor of the execution, and beside the calls that follow whatever the execution does then. */
const execute = async (id: string): Promise<void> => {
  const { status, text } = await server.execute(id, { command: 'noop', args: {} }, 'respond-async');
  if (status !== 202) throw new Error(text);
};
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return performance.now() - started;
};
const { sessions: fresh } = await createSessions(server, 50);
for (let n = 0; n < WARM_UP; n++) {
  const [id] = fresh[n % fresh.length] as (typeof fresh)[number];
  await get(id);
  await register(id);
  await execute(id);
}

/** What the machine itself takes from whoever runs: the same calculation, between the calls. */
const idling: number[] = [];
const calculate = async (): Promise<void> => {
  const map = new Map(Array.from({ length: 6_000 }, (_, n) => [`k${(n * 7_919) % 4_001}`, n]));
  if (JSON.stringify([...map]).length === 0) throw new Error('nothing');
};

/** Each call to one that sleeps is followed by the same to one of those that were woken lately. */
const measured = async (call: (id: string) => Promise<unknown>) => {
  const asleep: number[] = [];
  const awake: number[] = [];
  const woken: string[] = [];
  const chosen = new Set<string>();
  while (chosen.size < Math.min(CALLS, ids.length)) chosen.add(any());
  for (const id of chosen) {
    asleep.push(await timed(() => call(id)));
    woken.push(id);
    const other = woken.at(-1 - Math.floor(random() * Math.min(500, woken.length))) as string;
    awake.push(await timed(() => call(other)));
    idling.push(await timed(calculate));
  }
  return { asleep, awake };
};
const gets = await measured(get);
const registers = await measured(register);
const executes = await measured(execute);
say('woken');
print({
  'sessions n': ids.length,
  'refused n': refused,
  'created over HTTP /s': perSecond,
  'RSS at the start MB': atStart,
  'RSS when created MB': whenCreated,
  'RSS idle MB': idle,
  'RSS after the restart MB': restarted,
  'per session on the disk KB': bytes / 1_024,
  'a page of sessions.list ms': listed,
  'ready again after kill -9 ms': readyMs,
  'register, asleep, p50 ms': quantile(registers.asleep, 0.5),
  'register, asleep, p99 ms': quantile(registers.asleep, 0.99),
  'register, awake, p50 ms': quantile(registers.awake, 0.5),
  'register, awake, p99 ms': quantile(registers.awake, 0.99),
  'accept, asleep, p50 ms': quantile(executes.asleep, 0.5),
  'accept, asleep, p99 ms': quantile(executes.asleep, 0.99),
  'accept, awake, p50 ms': quantile(executes.awake, 0.5),
  'accept, awake, p99 ms': quantile(executes.awake, 0.99),
  'a calculation meanwhile, p50 ms': quantile(idling, 0.5),
  'a calculation meanwhile, p99 ms': quantile(idling, 0.99),
  'sessions.get, asleep, p50 ms': quantile(gets.asleep, 0.5),
  'sessions.get, asleep, p99 ms': quantile(gets.asleep, 0.99),
  'sessions.get, awake, p50 ms': quantile(gets.awake, 0.5),
  'sessions.get, awake, p99 ms': quantile(gets.awake, 0.99),
});
await workspace[Symbol.asyncDispose]();
process.exit(0);
