import autocannon from 'autocannon';
import { ROOMY_GRANTS, UNLIMITED_GRANTS } from '../grants.ts';
import { asked, serve } from '../serve.ts';
import { IN_FLIGHT, print, quantile } from '../summary.ts';

/**
 * What authority costs the full path: executions over HTTP on one server, by clients whose use is charged (`cli`), by
 * clients without any limit (`web`), and by the owner's key under the root of the session. They take turns, so that what
 * the machine does meanwhile meets all alike.
 */
const SESSIONS = 16;
const TURNS = 6;
/** Seconds of one load, about. */
const SECONDS = 1.5;
const WARM_UP = 4_000;

const KINDS = ['limited', 'unlimited', 'root'] as const;
type Kind = (typeof KINDS)[number];

const { workspace, server } = await serve(['noop'], { policy: { ...UNLIMITED_GRANTS, cli: ROOMY_GRANTS.cli } });
const sessions = await Promise.all(
  Array.from({ length: SESSIONS }, async () => {
    const { session_id, client_token: limited } = await server.open('cli');
    const { client_token: unlimited } = await asked(server, 'POST', `/v1/sessions/${session_id}/clients`, {
      body: { client: { type: 'web' } },
    });
    const tokens: Readonly<Record<Kind, string>> = { limited, unlimited, root: server.key };
    return { path: `/v1/sessions/${session_id}/commands`, tokens };
  }),
);

/** CPU time of the server's process so far, all of its threads, in µs. */
const cpu = async (): Promise<number> => {
  const { text } = await server.call('GET', '/metrics');
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1]) * 1e6;
};

interface Load {
  readonly executions: number;
  readonly perSecond: number;
  readonly cpu: number;
}
/** All of them are answered before it ends, so that what is counted is what was done. */
const load = async (kind: Kind, amount: number): Promise<Load> => {
  const before = await cpu();
  const { non2xx, errors, requests, duration } = await autocannon({
    url: server.http,
    connections: IN_FLIGHT,
    amount,
    requests: sessions.map(({ path, tokens }) => ({
      method: 'POST' as const,
      path,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens[kind]}`, prefer: 'wait=30' },
      body: JSON.stringify({ command: 'noop', args: {} }),
    })),
  });
  if (non2xx > 0 || errors > 0) throw new Error(`${kind}: ${non2xx} refused, ${errors} failed`);
  return { executions: requests.total, perSecond: requests.total / duration, cpu: (await cpu()) - before };
};

const warm: Load[] = [];
for (const kind of [...KINDS, ...KINDS]) warm.push(await load(kind, WARM_UP));
const amount = Math.ceil((warm.at(-1)?.perSecond ?? WARM_UP) * SECONDS);
const loads: Readonly<Record<Kind, Load[]>> = { limited: [], unlimited: [], root: [] };
for (let turn = 0; turn < TURNS; turn++)
  // There and back again, so that none is always first.
  for (const kind of turn % 2 === 0 ? KINDS : KINDS.toReversed()) loads[kind].push(await load(kind, amount));

// The window of a limit is empty at first and fills by one number a minute: what a full one costs, the round `gate` says.
const sum = (kind: Kind, what: 'executions' | 'cpu'): number =>
  loads[kind].reduce((total, each) => total + each[what], 0);
const cpuPerExecution = (kind: Kind): number => sum(kind, 'cpu') / sum(kind, 'executions');
/** The median over the turns, each by what came just before or after it. */
const ratio = (over: Exclude<Kind, 'limited'>): number =>
  quantile(
    loads.limited.map(({ perSecond }, turn) => perSecond / (loads[over][turn]?.perSecond ?? Number.NaN)),
    0.5,
  );
print({
  'limited clients over HTTP, 256 in flight /s': quantile(
    loads.limited.map(({ perSecond }) => perSecond),
    0.5,
  ),
  'limited clients, CPU per execution µs': cpuPerExecution('limited'),
  'unlimited clients, CPU per execution µs': cpuPerExecution('unlimited'),
  'root key, CPU per execution µs': cpuPerExecution('root'),
  'limited clients over the root key ×': ratio('root'),
  'limited clients over unlimited clients ×': ratio('unlimited'),
  'CPU, limited clients over the root key ×': cpuPerExecution('limited') / cpuPerExecution('root'),
  'CPU, limited clients over unlimited clients ×': cpuPerExecution('limited') / cpuPerExecution('unlimited'),
});
await workspace[Symbol.asyncDispose]();
process.exit(0);
