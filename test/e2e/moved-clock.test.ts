import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { can } from '../support/installed.ts';
import { createMovedClock } from '../support/moved-clock.ts';
import { createWorkspace, type Json, type ServerProcess } from '../support/server.ts';
import { ok } from './scene.ts';

/** Promise 6 where somebody sets the clock of the machine by an hour, while a server runs and while it does not. */
const test = suite('moved clock');

const HOUR = 3_600;
const GRACE = 1.5;
/** Far beyond what anything here takes, and far below what the clock is moved by. */
const LATE = 60;

/** Neither the times nor the ids of a log go back. */
const assertOrder = (log: readonly Event[]): void => {
  for (const [index, { id, timestamp, seq }] of log.entries()) {
    const before = log[index - 1];
    if (before === undefined) continue;
    assert.ok(timestamp >= before.timestamp, `event ${seq} is of ${timestamp}, the one before of ${before.timestamp}`);
    assert.ok(id > before.id, `event ${seq} is ${id}, the one before ${before.id}`);
  }
};

const assertSorted = (ids: readonly string[]): void =>
  assert.equal(ids.toSorted(), ids, 'ids are in order of creation');

/** Seconds from the acceptance of an execution to its end, by the log. */
const lasted = (log: readonly Event[], execution: string): number => {
  const at = (type: string): number =>
    Date.parse(log.find((event) => event.type === type && event.data['execution_id'] === execution)?.timestamp ?? '');
  return (at('execution_timed_out') - at('execution_queued')) / 1_000;
};

test('the clock moves by an hour, there and back, while it runs and while it does not', async () => {
  await using space = createWorkspace();
  const clock = can('a moved clock', 'libfaketime is not installed', () =>
    createMovedClock(join(space.directory, 'clock')),
  );
  if (clock === null) return;
  const config = space.config({
    commands: ['slow', 'no-op'],
    agents: { threads: 4 },
    limits: { grace: GRACE, drain: 0.5 },
  });
  let server: ServerProcess = await space.serve({ config, env: clock.env });
  const { session_id: session } = await server.open();
  const { session_id: left, client_token } = await server.open();
  const ids: string[] = [];
  const begin = async (timeout: number): Promise<string> => {
    const body = { command: 'slow', args: { ms: 600_000 }, timeout };
    const { execution_id } = ok(await server.execute(session, body), 202);
    ids.push(execution_id);
    return execution_id;
  };
  const share = async (expires_in: number): Promise<Json> =>
    ok(await server.call('POST', `/v1/sessions/${session}/shares`, { body: { constraints: { expires_in } } }), 201);
  const joined = async ({ token }: Json): Promise<number> =>
    (await server.call('POST', '/v1/join', { token: null, body: { token, client: { type: 'web' } } })).status;
  const stateOf = async (id: string): Promise<string> => (await server.call('GET', `/v1/sessions/${id}`)).body.status;
  const statusOf = async (execution: string): Promise<string> =>
    (await server.call('GET', `/v1/executions/${execution}`)).body.status;
  const ended = async (execution: string): Promise<void> => {
    const since = performance.now();
    const { body, text } = await server.call('GET', `/v1/executions/${execution}?wait=${LATE}`);
    assert.is(body.status, 'timed_out', text);
    assert.ok(performance.now() - since < LATE * 1_000);
  };

  // While it runs: nothing is early, and nothing is late.
  const [first, long] = [await begin(2.5), await begin(60)];
  const [short, day] = [await share(1_800), await share(86_400)];
  ok(await server.call('GET', `/v1/sessions/${left}`, { token: client_token }), 200);
  clock.move(HOUR);
  await sleep(500);
  assert.is(await statusOf(first), 'running');
  assert.is(await joined(short), 201);
  await ended(first);
  clock.move(-HOUR);
  const second = await begin(1.5);
  await ended(second);
  assert.is(await statusOf(long), 'running');
  const log = await server.events(session);
  for (const [execution, timeout] of [
    [first, 2.5],
    [second, 1.5],
  ] as const)
    assert.ok(lasted(log, execution) >= timeout && lasted(log, execution) < LATE, `${lasted(log, execution)}`);
  const quiet = await server.events(left);
  const [attached = 0, detached = 0] = ['client_joined', 'client_detached'].map((wanted) =>
    Date.parse(quiet.find(({ type }) => type === wanted)?.timestamp ?? ''),
  );
  assert.ok(detached - attached >= GRACE * 1_000 && detached - attached < LATE * 1_000, `${detached - attached} ms`);

  // While it does not run, two hours back: no time has passed.
  const third = await begin(3);
  await server.kill();
  clock.move(-3 * HOUR);
  server = await space.serve({ config, env: clock.env });
  assert.match(server.stderr(), /the clock of the machine is behind/);
  assert.is(await joined(short), 201);
  const fourth = await begin(600);
  await ended(third);
  assertOrder(await server.events(session));
  assert.ok(lasted(await server.events(session), third) >= 3);

  // And two hours on: that much has passed.
  const fifth = await begin(5 * HOUR);
  await server.kill();
  clock.move(2 * HOUR);
  server = await space.serve({ config, env: clock.env });
  await ended(fourth);
  assert.not.match(await statusOf(fifth), /timed_out/);
  assert.is(await joined(short), 401, 'the share has expired');
  assert.is(await joined(day), 201);
  const { session_id: last } = await server.open();
  assertSorted(ids);
  assertSorted([session, left, last]);
  assertOrder(await server.events(session));
  assert.is(await stateOf(session), 'active');
  const said = await space
    .arbor(['--url', server.http, 'run', 'help'], { ARBOR_TOKEN: server.key, ...clock.env })
    .ended();
  assert.is(said.code, 0, said.stderr);
  assert.is(await server.stop(), 0);
});

test.run();
