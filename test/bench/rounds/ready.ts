import { ROOMY_GRANTS } from '../grants.ts';
import { createSessions } from '../load.ts';
import { asked, serve } from '../serve.ts';
import { print, quantile, saturate } from '../summary.ts';

/**
 * From the start of the process to the first 200 of `/readyz`: on an empty directory, and after `kill -9` with 10,000
 * live sessions, each with a client that was attached, and a part of them with an execution that runs or is queued.
 */
const SESSIONS = 10_000;
const WITH_EXECUTION = 500;
const IN_FLIGHT = 64;
const RESTARTS = 5;

const { workspace, server: first, again, ms: coldMs } = await serve(['hold'], { policy: ROOMY_GRANTS });
const { sessions } = await createSessions(first, SESSIONS);
let next = 0;
await saturate(sessions.length, IN_FLIGHT, async () => {
  const index = next++;
  const [id, token] = sessions[index] as (typeof sessions)[number];
  // A request with its token attaches the client for the grace time.
  if (index >= WITH_EXECUTION) await asked(first, 'GET', `/v1/sessions/${id}/commands`, { token });
  else await first.execute(id, { command: 'hold', args: {} }, 'respond-async', token);
});

const times: number[] = [];
let server = first;
for (let n = 0; n < RESTARTS; n++) {
  await server.kill();
  const restarted = await again();
  ({ server } = restarted);
  times.push(restarted.ms);
}
const { text } = await server.call('GET', '/metrics');
const figure = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
print({
  'cold start ms': coldMs,
  'after kill -9, p50 ms': quantile(times, 0.5),
  'after kill -9, max ms': Math.max(...times),
  'live sessions n': sessions.length,
  'clients presumed attached n': figure('arbor_present_clients'),
  'executions under way n': ['queued', 'reserved', 'running'].reduce(
    (sum, state) => sum + (figure(`arbor_executions\\{state="${state}"\\}`) || 0),
    0,
  ),
});
await workspace[Symbol.asyncDispose]();
process.exit(0);
