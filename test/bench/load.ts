import { readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import autocannon from 'autocannon';
import type { ServerProcess } from '../support/server.ts';

/** Enough at once that no thread of the server waits for the clients. */
const CONNECTIONS = 128;

export interface Created {
  /** `session_id` and `client_token` of each. */
  readonly sessions: readonly (readonly [id: string, token: string])[];
  readonly perSecond: number;
  /** Calls that were answered otherwise. */
  readonly refused: number;
}

/** Creates sessions over HTTP as the operator, each with a client. */
export const createSessions = async (server: ServerProcess, amount: number): Promise<Created> => {
  const sessions: (readonly [string, string])[] = [];
  const started = performance.now();
  const { non2xx, errors, statusCodeStats } = await autocannon({
    url: server.http,
    connections: Math.min(CONNECTIONS, amount),
    amount,
    timeout: 60,
    requests: [
      {
        method: 'POST',
        path: '/v1/sessions',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${server.key}` },
        body: JSON.stringify({ client: { type: 'cli' } }),
        onResponse: (status, body) => {
          if (status !== 201) return;
          const { session_id, client_token } = JSON.parse(body) as Record<string, string>;
          sessions.push([session_id as string, client_token as string]);
        },
      },
    ],
  });
  const refused = non2xx + errors;
  if (refused > 0) process.stderr.write(`refused: ${JSON.stringify(statusCodeStats)}, ${errors} failed\n`);
  if (refused > amount / 1_000) throw new Error(`${non2xx} sessions were refused, ${errors} failed`);
  return { sessions, perSecond: (1_000 * sessions.length) / (performance.now() - started), refused };
};

/** What a process holds in memory, all of its threads, in MB: what the kernel says (`VmRSS`). */
export const residentMb = ({ child }: ServerProcess): number => {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024;
};

/** Of all files below a directory. */
export const bytesIn = async (directory: string): Promise<number> => {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
};
