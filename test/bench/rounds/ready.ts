import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { print } from '../summary.ts';

/** From the start of the process on an empty directory to the line that says it is ready. */
const directory = await mkdtemp(join(tmpdir(), 'arbor-bench-'));
const cli = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));
const started = performance.now();
const server = spawn(
  process.execPath,
  [cli, 'serve', '--data', join(directory, 'data'), '--http', '127.0.0.1:0', '--mqtt', '127.0.0.1:0'],
  { stdio: ['ignore', 'pipe', 'inherit'], cwd: directory, env: { ...process.env, ARBOR_LOG_LEVEL: 'silent' } },
);
const ready = await new Promise<number>((resolve) => {
  server.stdout.on('data', (chunk: Buffer) => {
    if (chunk.toString().includes('http://')) resolve(performance.now() - started);
  });
});
print({ 'cold start ms': ready });
server.kill('SIGKILL');
await rm(directory, { recursive: true, force: true });
process.exit(0);
