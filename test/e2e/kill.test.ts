// limit: 1200 s
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { within } from '../support/mqtt-wire.ts';
import {
  createRandom,
  createWorkspace,
  eventually,
  type Answer,
  type Json,
  type ServerProcess,
  type Workspace,
} from '../support/server.ts';
import type { Accepted } from './load.ts';
import { checkAccepted, checkEnds, checkLog, checkTold, listExecutions, texts } from './log-laws.ts';
import { watchMqtt, watchSse } from './witness.ts';

/** Promises 1 to 6 of the contract's section 10, as far as `kill -9` can break them; seen through HTTP and MQTT alone. */
const test = suite('kill -9');

const ROUNDS = Number(process.env['ARBOR_KILL_ROUNDS'] ?? 5);
const SEED = Number(process.env['ARBOR_KILL_SEED'] ?? Date.now() % 1_000_000_000);
/** Sessions that are there besides, and have to be found again at each start. */
const SESSIONS = Number(process.env['ARBOR_KILL_SESSIONS'] ?? (ROUNDS >= 50 ? 10_000 : 0));
const LANES = ROUNDS >= 50 ? 16 : 6;
/** Executions that are accepted before each kill, at least: 50 rounds have more than 10,000. */
const PER_ROUND = ROUNDS >= 50 ? 200 : LANES;
/** Seconds; far beyond what a run takes, so that only those that are to time out do. */
const TIMEOUT = 120;
const ENDED = new Set(['completed', 'failed', 'cancelled', 'timed_out']);

/** What a caller with an idempotency key has sent, and the answer where one came. */
interface Keyed {
  readonly key: string;
  readonly body: object;
  readonly execution_id: string | null;
}

interface History {
  readonly session: string;
  readonly accepted: Accepted[];
  readonly keyed: Keyed[];
  /** The log as it was last read. */
  log: readonly Event[];
  refusals: number;
}

const bodyOf = (random: () => number, marker: string): { readonly body: object; readonly prefer: string } => {
  const draw = random();
  const async = 'respond-async';
  if (draw < 0.1)
    return { body: { command: 'slow', args: { ms: Math.floor(random() * 40) }, timeout: TIMEOUT }, prefer: async };
  if (draw < 0.15)
    return { body: { command: 'talk', args: { progress: 5, chunks: 3 }, timeout: TIMEOUT }, prefer: async };
  if (draw < 0.16) return { body: { command: 'slow', args: { ms: 600_000 }, timeout: 1 + random() }, prefer: async };
  const body = { command: 'no-op', args: { value: marker }, timeout: TIMEOUT };
  return { body, prefer: draw < 0.6 ? 'wait=20' : async };
};

/** Calls one after the other until the server is gone. */
const runLane = async (server: ServerProcess, history: History, random: () => number, lane: string): Promise<void> => {
  for (let n = 0; ; n += 1) {
    const marker = `${lane}.${n}`;
    const { body, prefer } = bodyOf(random, marker);
    const key = random() < 0.3 ? `key-${marker}` : null;
    const sent = key === null ? body : { ...body, idempotency_key: key };
    let answer: Answer;
    try {
      answer = await server.execute(history.session, sent, prefer);
    } catch {
      // Killed before the answer: accepted or not, and either is right.
      if (key !== null) history.keyed.push({ key, body, execution_id: null });
      return;
    }
    if (answer.status === 503) {
      history.refusals += 1;
      await sleep(50);
      continue;
    }
    assert.ok(answer.status === 200 || answer.status === 202, `${answer.status} ${answer.text}`);
    const { execution_id } = answer.body as { execution_id: string };
    history.accepted.push({ execution_id, end: answer.status === 200 ? answer.body : null });
    if (key !== null) history.keyed.push({ key, body, execution_id });
  }
};

/** Promise 4: whatever the `after`, replay is the rest of the log. */
const checkReplay = async (server: ServerProcess, { session, log }: History, random: () => number): Promise<void> => {
  for (const after of [0, Math.floor(random() * log.length), log.length - 1, log.length]) {
    const replayed = await server.events(session, after);
    assert.equal(texts(replayed.slice(0, log.length - after)), texts(log.slice(after)), `replay after ${after}`);
  }
  const after = Math.floor(random() * log.length);
  const stream = await watchSse(server, session, server.key, after);
  await eventually('the stream has caught up', () => stream.seen.length >= log.length - after);
  stream.end();
  await within('end of the stream', stream.over);
  assert.equal(texts(stream.seen.slice(0, log.length - after)), texts(log.slice(after)), `the stream after ${after}`);
};

/** The same key again: the same execution, or, where nobody knows whether it was accepted, one and only one. */
const checkKeys = async (server: ServerProcess, { session, keyed }: History): Promise<void> => {
  for (const { key, body, execution_id } of keyed.slice(-30)) {
    const again = { ...body, idempotency_key: key };
    const first = await server.execute(session, again);
    const second = await server.execute(session, again);
    const ids = [first, second].map((answer) => answer.body.execution_id as string);
    assert.equal(ids, [execution_id ?? ids[0], execution_id ?? ids[0]], first.text);
    const changed = await server.execute(session, { ...again, priority: 7 });
    assert.is(changed.status, 409, changed.text);
  }
};

const openSessions = async (server: ServerProcess, count: number): Promise<void> => {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await server.open();
    }
  };
  await Promise.all(Array.from({ length: 32 }, lane));
};

/** Least, median and most, in whole milliseconds. */
const spread = (times: readonly number[]): string => {
  const sorted = times.toSorted((a, b) => a - b);
  return [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)].map((time = 0) => Math.round(time)).join(' / ');
};

/** Recovery itself is killed: the next start has the same work before it. */
const killWhileStarting = async (space: Workspace, config: string, random: () => number): Promise<void> => {
  const flags = ['--data', 'data', '--http', '127.0.0.1:0', '--mqtt', '127.0.0.1:0', '--config', config];
  const starting = space.arbor(['serve', ...flags]);
  await sleep(Math.floor(200 + random() * 1_000));
  starting.child.kill('SIGKILL');
  await starting.ended();
};

test(`${ROUNDS} rounds of load, kill and restart keep every promise`, async () => {
  process.stdout.write(`seed ${SEED} (ARBOR_KILL_SEED)\n`);
  const random = createRandom(SEED);
  await using space = createWorkspace();
  const config = space.config({ commands: ['no-op', 'slow', 'talk'], agents: { threads: 4 }, limits: { drain: 5 } });
  let server = await space.serve({ config });
  const registration = await server.open();
  await openSessions(server, SESSIONS);
  const ready: number[] = [];
  const history: History = { session: registration.session_id, accepted: [], keyed: [], log: [], refusals: 0 };

  for (let round = 1; round <= ROUNDS; round += 1) {
    const { seq: from } = (await server.call('GET', `/v1/sessions/${history.session}`)).body;
    const witnesses = [
      await watchSse(server, history.session, registration.client_token, from),
      await watchMqtt(server, registration),
    ];
    const known = history.accepted.length;
    const lanes = Array.from({ length: LANES }, (_, lane) => runLane(server, history, random, `${round}.${lane}`));
    const load = Promise.all(lanes);
    // A lane that fails must not end the process before the test can say why.
    load.catch(() => undefined);
    await eventually('load', () => history.accepted.length > known + PER_ROUND);
    await sleep(Math.floor(random() * 800));
    await server.kill();
    await within('end of the load', load);
    await within('end of the witnesses', Promise.all(witnesses.map(({ over }) => over)), 30_000);
    assert.ok(
      witnesses.every(({ seen }) => seen.length > 0),
      'the witnesses saw something',
    );

    if (round === 2) await killWhileStarting(space, config, random);
    const killed = performance.now();
    server = await space.serve({ config });
    assert.is((await server.call('GET', '/readyz', { token: null })).status, 200);
    ready.push(performance.now() - killed);
    const log = await server.events(history.session);
    checkLog(log, history.log, witnesses);
    history.log = log;
    checkAccepted(history.accepted, log);
    await checkTold(server, history.accepted.slice(-40));
    await checkReplay(server, history, random);
    await checkKeys(server, history);
  }

  let executions: Json[] = [];
  await eventually('the end of every execution', async () => {
    executions = await listExecutions(server, history.session);
    return executions.every(({ status }) => ENDED.has(status as string));
  });
  const log = await server.events(history.session);
  checkLog(log, history.log, []);
  checkEnds(log);
  const there = new Set(executions.map(({ execution_id }) => execution_id as string));
  assert.equal(
    history.accepted.filter(({ execution_id }) => !there.has(execution_id)),
    [],
  );
  const markers = executions.filter(({ command }) => command === 'no-op').map(({ args }) => args.value as string);
  assert.is(new Set(markers).size, markers.length, 'nothing was accepted twice');
  const unexpected = executions.filter(
    ({ command, args, status }) => args.ms === 600_000 && status !== 'timed_out' && command === 'slow',
  );
  assert.equal(
    unexpected.filter(({ status, attempts }) => status !== 'failed' || attempts < 3),
    [],
    'what waits for ever times out',
  );
  process.stdout.write(
    `${ROUNDS} kills, ${history.accepted.length} accepted, ${log.length} events, ${history.refusals} refused\n` +
      `with ${SESSIONS} more sessions, from the start of the process to /readyz: ${spread(ready)} ms\n`,
  );
  assert.is(await server.stop(), 0);
});

test.run();
