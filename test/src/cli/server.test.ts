import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../client/fake-gateway.ts';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.ts');
const FREE = ['--http', '127.0.0.1:0', '--mqtt', '127.0.0.1:0'];

interface Context {
  /** Working directory; `tmp` in it is where temporary directories are made. */
  directory: string;
  children: ChildProcess[];
}
const test = suite<Context>('arbor with a server');

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'arbor-cli-'));
  context.children = [];
  await mkdir(join(context.directory, 'tmp'));
  await writeFile(join(context.directory, 'a.ts'), 'export const one = 1;\n');
});
test.after.each(async ({ directory, children }) => {
  for (const child of children) child.kill('SIGKILL');
  await rm(directory, { recursive: true, force: true });
});

const start = ({ directory, children }: Context, args: readonly string[]) => {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: directory,
    env: { PATH: process.env['PATH'], HOME: directory, TMPDIR: join(directory, 'tmp'), ARBOR_LOG_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  children.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return {
    child,
    stdout: () => stdout,
    ended: new Promise<{ code: number | null; stdout: string; stderr: string }>((done) =>
      child.once('close', (code) => done({ code, stdout, stderr })),
    ),
  };
};

test('demo: three clients, one session, nothing left behind, 0', async (context) => {
  const { code, stdout, stderr } = await start(context, ['demo']).ended;
  assert.is(stderr, '');
  assert.is(code, 0);
  assert.match(stdout, /cli client.* saw \d+ events/);
  assert.match(stdout, /web client, MQTT over WebSocket saw \d+ events/);
  assert.match(stdout, /api client.* saw \d+ events/);
  assert.match(stdout, /without a hole; replayed, it is what each of them saw/);
  assert.equal(await readdir(join(context.directory, 'tmp')), []);
});

test('demo: Ctrl-C leaves nothing behind, 130', async (context) => {
  const demo = start(context, ['demo']);
  await until(() => demo.stdout().includes('Three clients'), 'the session');
  demo.child.kill('SIGINT');
  const { code } = await demo.ended;
  assert.is(code, 130);
  assert.equal(await readdir(join(context.directory, 'tmp')), []);
});

test('serve: one line when ready, and who works beside it finds the credentials', async (context) => {
  const server = start(context, ['serve', ...FREE]);
  await until(() => server.stdout().includes('\n'), 'the line');
  const [, url = ''] =
    /^arbor is ready: (http:\S+) and mqtt:\/\/127\.0\.0\.1:\d+; [^\n]+\n$/.exec(server.stdout()) ?? [];
  const run = await start(context, ['--url', url, 'run', 'analyze', 'a.ts', '--json']).ended;
  assert.is(run.code, 0, run.stderr);
  const { session_id, result } = JSON.parse(run.stdout) as { session_id: string; result: { files: number } };
  assert.is(result.files, 1);
  const watch = await start(context, ['--url', url, 'watch', session_id, '--until-closed']).ended;
  assert.is(watch.code, 0);
  assert.match(watch.stdout, /execution_completed[^]*session_closed/);
  const failed = await start(context, ['--url', url, 'run', 'analyze', 'nothing-there']).ended;
  assert.is(failed.code, 1);
  server.child.kill('SIGTERM');
  assert.is((await server.ended).code, 0);
});

test('serve: a taken port is one line that names it, 1', async (context) => {
  const server = start(context, ['serve', ...FREE]);
  await until(() => server.stdout().includes('\n'), 'the line');
  const port = /:(\d+) and/.exec(server.stdout())?.[1];
  const second = await start(context, [
    'serve',
    '--data',
    'other',
    '--http',
    `127.0.0.1:${port}`,
    '--mqtt',
    '127.0.0.1:0',
  ]).ended;
  assert.is(second.code, 1);
  assert.match(second.stderr, new RegExp(`^arbor: .*${port}.*\n$`));
  server.child.kill('SIGINT');
  assert.is((await server.ended).code, 0);
});

test.run();
