/** The broker as a program of its own. */
import { fileURLToPath } from 'node:url';
import { connectAsync } from 'mqtt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { program } from '../support/mqtt-programs.ts';
import { until, within } from '../support/mqtt-wire.ts';

const test = suite('broker program');

const MAIN = fileURLToPath(new URL('../../brokers/main.ts', import.meta.url));
const start = (...flags: string[]): ReturnType<typeof program> => program(process.execPath, [MAIN, ...flags]);

const READY = /^arbor-broker listening (mqtt:\/\/127\.0\.0\.1:\d+)(?: (ws:\/\/127\.0\.0\.1:\d+\/mqtt))?\n$/;

test('says in one line where it listens, serves both transports and ends with 0 on SIGTERM and SIGINT', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const broker = start('--port', '0', '--ws-port', '0');
    const [, tcp, ws] = READY.exec(await broker.said('\n')) ?? [];
    const [one, two] = await within(
      'logins',
      Promise.all([tcp, ws].map((url) => connectAsync(String(url), { protocolVersion: 4, reconnectPeriod: 0 }))),
    );
    const got: string[] = [];
    one?.on('message', (topic) => got.push(topic));
    await one?.subscribeAsync('t');
    await two?.publishAsync('t', 'x', { qos: 1 });
    await until('the message', () => got.length === 1);
    broker.child.kill(signal);
    const { code, err } = await broker.ended();
    assert.equal([code, err], [0, '']);
    await Promise.all([one?.endAsync(true), two?.endAsync(true)]);
  }
});

test('a taken port is one line that names its flag, and exit code 1', async () => {
  const first = start('--port', '0');
  const port = /:(\d+)\n/.exec(await first.said('\n'))?.[1] ?? '';
  for (const [flag, flags] of [
    ['--port', ['--port', port]],
    ['--ws-port', ['--port', '0', '--ws-port', port]],
  ] as const) {
    const { code, out, err } = await start(...flags).ended();
    assert.is(code, 1);
    assert.is(out, '');
    assert.match(err, new RegExp(`^arbor-broker: ${flag}: .*EADDRINUSE.*\\n$`));
  }
  first.child.kill('SIGTERM');
  await first.ended();
});

test('a flag that is no port is refused by its name', async () => {
  const { code, err } = await start('--port', 'x').ended();
  assert.is(code, 1);
  assert.match(err, /--port/);
});

test.run();
