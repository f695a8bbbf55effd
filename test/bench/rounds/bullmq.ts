import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { IN_FLIGHT, oneByOne, print, quantile, saturate } from '../summary.ts';

/** What of BullMQ is used. It is installed for the benchmark alone, so its types are not there when the project is checked. */
interface BullMq {
  readonly Queue: new (
    name: string,
    options: object,
  ) => {
    add(name: string, data: object, options: object): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Worker: new (
    name: string,
    processor: () => Promise<unknown>,
    options: object,
  ) => {
    on(event: 'completed', listener: (job: { readonly id?: string }) => void): void;
    waitUntilReady(): Promise<unknown>;
    pause(): Promise<void>;
    close(force: boolean): Promise<void>;
  };
}
const { Queue, Worker } = (await import('bullmq' as string)) as BullMq;

/** The peer: BullMQ on a redis-server that syncs its log before it answers; a no-op job, as many in flight as the ring. */
const JOBS = 15_000;

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

const directory = await mkdtemp(join(tmpdir(), 'arbor-bench-'));
const port = await freePort();
const redis = spawn(
  'redis-server',
  [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    directory,
    '--save',
    '',
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
await new Promise<void>((resolve) => {
  redis.stdout.on('data', (chunk) => String(chunk).includes('Ready to accept') && resolve());
});
process.on('exit', () => redis.kill('SIGKILL'));

const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const waiting = new Map<string, () => void>();
const queue = new Queue('bench', { connection });
const worker = new Worker('bench', async () => ({ ok: true }), { connection, concurrency: IN_FLIGHT });
worker.on('completed', ({ id }) => {
  waiting.get(id as string)?.();
  waiting.delete(id as string);
});
await worker.waitUntilReady();

let ids = 0;
const job = async (): Promise<void> => {
  const jobId = `job-${(ids += 1)}`;
  const done = new Promise<void>((resolve) => waiting.set(jobId, resolve));
  await queue.add('noop', {}, { jobId, removeOnComplete: true });
  await done;
};
await saturate(2_000, IN_FLIGHT, job);
const seconds = await saturate(JOBS, IN_FLIGHT, job);
await worker.pause();
const adds = await oneByOne(1_000, async () => {
  await queue.add('noop', {}, { removeOnComplete: true });
});
print({
  'jobs, 256 in flight /s': JOBS / seconds,
  'add, p50 ms': quantile(adds, 0.5),
  'add, p99 ms': quantile(adds, 0.99),
});
await worker.close(true);
await queue.close();
redis.kill('SIGKILL');
await rm(directory, { recursive: true, force: true });
process.exit(0);
