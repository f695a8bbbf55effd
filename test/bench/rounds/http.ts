import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { startServer } from '../../../src/start.ts';
import { ROOMY_GRANTS } from '../grants.ts';
import { IN_FLIGHT, oneByOne, print, quantile } from '../summary.ts';

/**
 * The whole way: HTTP in, accepted, run, ended, and the result in the answer (`Prefer: wait`). The clients are of type
 * `cli`, whose use is charged; the limits are out of reach.
 */
process.env.ARBOR_LOG_LEVEL = 'silent';
const directory = await mkdtemp(join(tmpdir(), 'arbor-bench-'));
const config = join(directory, 'arbor.config.mjs');
const noop = fileURLToPath(new URL('../commands/noop.ts', import.meta.url));
await writeFile(config, `export default ${JSON.stringify({ commands: [noop], policy: ROOMY_GRANTS })};\n`);
const server = await startServer({ data: join(directory, 'data'), http: '127.0.0.1:0', mqtt: '127.0.0.1:0', config });
const { api_key } = JSON.parse(await readFile(server.credentials, 'utf8')) as { api_key: string };

const post = async (path: string, token: string, body: unknown): Promise<Record<string, string>> => {
  const answer = await fetch(`${server.http}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, prefer: 'respond-async' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as Record<string, string>;
};
const sessions = await Promise.all(
  Array.from({ length: 16 }, () => post('/v1/sessions', api_key, { client: { type: 'cli' } })),
);

const body = JSON.stringify({ command: 'noop', args: {} });
const load = (duration: number) =>
  autocannon({
    url: server.http,
    connections: IN_FLIGHT,
    duration,
    workers: 1,
    requests: sessions.map(({ session_id, client_token }) => ({
      method: 'POST' as const,
      path: `/v1/sessions/${session_id}/commands`,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${client_token}`, prefer: 'wait=30' },
      body,
    })),
  });
await load(2);
const result = await load(5);
if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refused, ${result.errors} failed`);
const { session_id, client_token } = sessions[0] as Record<string, string>;
const accepts = await oneByOne(500, async () => {
  await post(`/v1/sessions/${session_id}/commands`, client_token as string, { command: 'noop', args: {} });
});
print({
  'executions over HTTP, 256 in flight /s': result.requests.average,
  'accept over HTTP, p50 ms': quantile(accepts, 0.5),
  'accept over HTTP, p99 ms': quantile(accepts, 0.99),
});
await server.close(2_000);
await rm(directory, { recursive: true, force: true });
process.exit(0);
