import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startServer } from '../../src/start.ts';

const test = suite('examples/01-client');

test('ten lines make a client', async () => {
  const data = await mkdtemp(join(tmpdir(), 'arbor-example-'));
  const server = await startServer({ data, http: '127.0.0.1:0', mqtt: '127.0.0.1:0' });
  try {
    const { api_key } = JSON.parse(await readFile(server.credentials, 'utf8')) as { api_key: string };
    const child = spawn(process.execPath, [resolve(import.meta.dirname, '01-client.ts')], {
      cwd: import.meta.dirname,
      env: { PATH: process.env['PATH'], ARBOR_URL: server.http, ARBOR_TOKEN: api_key },
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 20_000,
      killSignal: 'SIGKILL',
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const code = await new Promise((done) => child.once('close', done));
    assert.is(code, 0);
    assert.match(output, /execution_queued[^]*execution_started[^]*execution_completed[^]*files/);
  } finally {
    await server.close(1_000);
    await rm(data, { recursive: true, force: true });
  }
});

test.run();
