// limit: 180 s
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { repliesTopic, requestsTopic } from '../../machines/topic.ts';
import { program as spawnProgram, type Program } from '../support/mqtt-programs.ts';
import { createWorkspace, eventually } from '../support/server.ts';

/** Programs that know nothing of this one: what they need is the contract alone. */
const test = suite('other programs');

const isInstalled = (name: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** A test that needs a program; without it a named skip, which the runner counts. */
const testWith = (needed: string, name: string, body: () => Promise<void>): void =>
  test(name, async () => {
    if (isInstalled(needed)) await body();
    else process.stdout.write(`# skip ${name}: ${needed} is not installed\n`);
  });

const running = new Set<Program>();
const program = (command: string, args: readonly string[], input = ''): Program => {
  const started = spawnProgram(command, args, input);
  running.add(started);
  return started;
};
test.after.each(() => {
  for (const { child } of running) child.kill('SIGKILL');
  running.clear();
});

const space = createWorkspace();
const server = await space.serve({ config: space.config({ commands: ['no-op', 'slow', 'talk'] }) });
test.after(async () => space[Symbol.asyncDispose]());

/** Curl with the key in a configuration on standard input, so that it is in no list of processes. */
const curl = (token: string, ...args: string[]): Program =>
  program(
    'curl',
    ['--silent', '--show-error', '--max-time', '60', '--config', '-', ...args],
    `header = "Authorization: Bearer ${token}"\n`,
  );

const json = (...args: string[]): string[] => ['--header', 'Content-Type: application/json', ...args];

testWith('curl', 'curl: a session, a command with its result, the events as a stream', async () => {
  const created = await curl(
    server.key,
    ...json('--data', '{"client":{"type":"cli"}}'),
    `${server.http}/v1/sessions`,
  ).ended();
  const { session_id, client_token } = JSON.parse(created.out);
  assert.match(session_id, /^ses_/);
  const base = `${server.http}/v1/sessions/${session_id}`;

  const stream = curl(client_token, '--no-buffer', '--header', 'Accept: text/event-stream', `${base}/events`);
  await stream.said('client_joined');

  const run = await curl(
    client_token,
    ...json('--header', 'Prefer: wait=10', '--include', '--data', '{"command":"no-op","args":{"value":"from curl"}}'),
    `${base}/commands`,
  ).ended();
  assert.match(run.out, /^HTTP\/1\.1 200 /);
  assert.match(run.out.toLowerCase(), /preference-applied: wait=10\r\n/);
  const answer = JSON.parse(run.out.slice(run.out.indexOf('\r\n\r\n')));
  assert.equal([answer.status, answer.result.value], ['completed', 'from curl']);

  await stream.said('execution_completed');
  stream.child.kill('SIGTERM');
  const { out } = await stream.ended();
  const records = out.split('\n\n').filter((record) => record.startsWith('id: '));
  const log = await server.events(session_id);
  for (const record of records) {
    const [id, data] = record.split('\n') as [string, string];
    const event = JSON.parse(data.slice('data: '.length)) as Event;
    assert.equal(event, log[event.seq - 1]);
    assert.is(id, `id: ${event.seq}`);
  }
  assert.is(records.length, log.filter(({ seq }) => seq <= records.length).length);

  const unknown = await curl(
    'nonsense',
    '--write-out',
    '%{http_code} %{content_type}',
    '--output',
    '/dev/null',
    base,
  ).ended();
  assert.match(unknown.out, /^401 application\/problem\+json/);
});

const login = ({ client_id, client_token }: Record<string, string>, suffix: string): string[] => [
  '-h',
  '127.0.0.1',
  '-p',
  String(server.mqttPort),
  '-V',
  'mqttv311',
  '-i',
  `${client_id}:${suffix}`,
  '-u',
  client_id as string,
  '-P',
  client_token as string,
];

testWith('mosquitto_sub', 'mosquitto_sub: the events of a client are those of the log', async () => {
  const own = await server.open();
  const { session_id, event_channel } = own;
  const { seq } = (await server.call('GET', `/v1/sessions/${session_id}`)).body;
  const sub = program('mosquitto_sub', [
    ...login(own, 'sub'),
    '-q',
    '1',
    '-t',
    event_channel,
    '-t',
    `arbor/v1/sessions/${session_id}/state`,
    '-v',
  ]);
  // The state comes with the subscription: from then on nothing is missed.
  await sub.said(`arbor/v1/sessions/${session_id}/state {`);

  for (let n = 0; n < 5; n += 1)
    assert.is((await server.execute(session_id, { command: 'no-op', args: { value: n } })).status, 202);
  await server.execute(session_id, { command: 'talk', args: { progress: 20, chunks: 5, pause_ms: 10 } }, 'wait=60');
  await eventually(
    'the end of all',
    async () => (await server.events(session_id)).filter(({ type }) => type === 'execution_completed').length === 6,
  );
  const log = await server.events(session_id);
  await sub.said(`"seq":${log.length},`);
  sub.child.kill('SIGTERM');
  const { out } = await sub.ended();
  const prefix = event_channel.slice(0, -1) as string;
  const seen = out.split('\n').filter((line) => line.startsWith(prefix));
  const events = seen.map((line) => JSON.parse(line.slice(line.indexOf(' ') + 1)) as Event);
  assert.equal(events, log.slice(log.length - events.length), 'the end of the log, without a hole');
  assert.ok(events.length >= log.length - seq - 1, `${events.length} of ${log.length}`);
  for (const [index, { type, data }] of events.entries()) {
    const topic = seen[index]?.slice(prefix.length).split(' ')[0];
    const subject = (data['execution_id'] ?? data['client_id'] ?? data['session_id']) as string;
    assert.is(topic, `${type}/${subject}`);
  }
});

testWith('mosquitto_pub', 'mosquitto_pub: a JSON-RPC request and its reply', async () => {
  const own = await server.open();
  const { session_id, client_id } = own;
  const replies = program('mosquitto_sub', [
    ...login(own, 'replies'),
    '-t',
    repliesTopic(session_id, client_id),
    '-t',
    `arbor/v1/sessions/${session_id}/clients/${client_id}/can`,
  ]);
  await replies.said('"commands":');
  const request = {
    jsonrpc: '2.0',
    id: 'req-1',
    method: 'commands.execute',
    params: { command: 'no-op', args: { value: 'from mosquitto' }, wait: 30 },
  };
  const pub = await program(
    'mosquitto_pub',
    [...login(own, 'pub'), '-q', '1', '-t', requestsTopic(session_id, client_id), '-s'],
    JSON.stringify(request),
  ).ended();
  assert.is(pub.code, 0, pub.err);
  const line = (await replies.said('req-1')).split('\n').find((each) => each.includes('req-1')) as string;
  const { id, result } = JSON.parse(line);
  assert.equal([id, result.status, result.result?.value], ['req-1', 'completed', 'from mosquitto'], line);

  // A repeat of the request is answered alike, from a connection that did not send the first.
  const again = await program(
    'mosquitto_pub',
    [...login(own, 'again'), '-q', '1', '-t', requestsTopic(session_id, client_id), '-s'],
    JSON.stringify(request),
  ).ended();
  assert.is(again.code, 0, again.err);
  await eventually(
    'the second reply',
    () => replies.child.exitCode !== null || replies.said('').then((out) => out.split('req-1').length === 3),
  );
  const both = (await replies.said('req-1')).split('\n').filter((each) => each.includes('req-1'));
  assert.equal(new Set(both.map((each) => JSON.parse(each).result.execution_id)), new Set([result.execution_id]));
  assert.is((await server.events(session_id)).filter(({ type }) => type === 'execution_queued').length, 1);
  replies.child.kill('SIGTERM');
  await replies.ended();
});

testWith('mosquitto_sub', 'mosquitto_sub: a wrong password and a foreign topic', async () => {
  const own = await server.open();
  const wrong = await program('mosquitto_sub', [
    ...login({ ...own, client_token: 'wrong' }, 'x'),
    '-t',
    own.event_channel,
  ]).ended();
  assert.is(wrong.code, 5, wrong.err);
  const foreign = await server.open();
  const denied = program('mosquitto_sub', [...login(own, 'y'), '-t', foreign.event_channel, '-W', '20']);
  const { err } = await denied.ended();
  assert.match(err, /denied|refused/i);
});

test.run();
