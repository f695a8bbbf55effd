import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createRandom, eventually, type ServerProcess } from '../../support/server.ts';
import { ROOMY_GRANTS } from '../grants.ts';
import { bytesIn, createSessions, residentMb } from '../load.ts';
import { asked, serve } from '../serve.ts';
import { print, quantile } from '../summary.ts';

/**
 * Sessions that sleep: what they cost in memory and on the disk, how soon a server with so many is ready again after
 * `kill -9`, and what the first call to one costs, beside the same call to one that is awake and to a server that does
 * nothing. `--sessions N` or `ARBOR_BENCH_SESSIONS`; 100,000 unless said otherwise, 1,000,000 for the figure of the
 * contract.
 *
 * Asleep: created, left alone until it is suspended (a minute), and not touched since the process has started. The disk
 * is warm: the kernel has read or written all of it lately.
 */
const flag = process.argv.indexOf('--sessions');
const SESSIONS = Number(flag < 0 ? process.env['ARBOR_BENCH_SESSIONS'] : process.argv[flag + 1]) || 100_000;
/** The calls of each kind are made in parts, and the median of the parts' quantiles is told: a machine has slow moments. */
const PARTS = 5;
const CALLS_IN_PART = 500;
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
const bareServer = fork(fileURLToPath(new URL('../bare-server.ts', import.meta.url)));
const [port] = (await once(bareServer, 'message')) as [number];
/** Like the others in all that is asked. */
const bare = async (): Promise<void> => {
  const [url, headers] = [`http://127.0.0.1:${port}/`, { 'content-type': 'application/json' }];
  const answer = await fetch(url, { method: 'POST', headers, body: '{"client":{"type":"cli"}}' });
  await answer.text();
};

const { sessions: fresh } = await createSessions(server, 50);
for (let n = 0; n < WARM_UP; n++) {
  const [id] = fresh[n % fresh.length] as (typeof fresh)[number];
  await get(id);
  await register(id);
  await execute(id);
  await bare();
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as (options: { type: 'minor' }) => void;
/** The call alone: what its own process collects is collected before. */
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  collectGarbage({ type: 'minor' });
  const started = performance.now();
  await work();
  return performance.now() - started;
};

const chosen = new Set<string>();
/** One that was not chosen before. */
const anySleeping = (): string => {
  if (chosen.size === ids.length) throw new RangeError('no session is left that sleeps');
  let id = any();
  while (chosen.has(id)) id = any();
  chosen.add(id);
  return id;
};

/** Each call to one that sleeps is followed by the same to one of those that were woken lately, and by a bare one. */
const measured = async (name: string, call: (id: string) => Promise<unknown>) => {
  const parts = { asleep: [] as number[][], awake: [] as number[][], bare: [] as number[][] };
  const woken: string[] = [];
  for (let part = 0; part < PARTS; part++) {
    const times = { asleep: [] as number[], awake: [] as number[], bare: [] as number[] };
    for (let n = 0; n < CALLS_IN_PART; n++) {
      const id = anySleeping();
      times.asleep.push(await timed(() => call(id)));
      woken.push(id);
      const other = woken.at(-1 - Math.floor(random() * Math.min(500, woken.length))) as string;
      times.awake.push(await timed(() => call(other)));
      times.bare.push(await timed(bare));
    }
    for (const state of ['asleep', 'awake', 'bare'] as const) parts[state].push(times[state]);
  }
  const told = (state: keyof typeof parts, q: number): number =>
    quantile(
      parts[state].map((times) => quantile(times, q)),
      0.5,
    );
  return Object.fromEntries(
    (['asleep', 'awake', 'bare'] as const).flatMap((state) => [
      [`${name}, ${state}, p50 ms`, told(state, 0.5)],
      [`${name}, ${state}, p99 ms`, told(state, 0.99)],
    ]),
  );
};
const calls = {
  ...(await measured('register', register)),
  ...(await measured('accept', execute)),
  ...(await measured('sessions.get', get)),
};
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
  ...calls,
});
bareServer.kill();
await workspace[Symbol.asyncDispose]();
process.exit(0);
