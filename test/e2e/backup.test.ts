// limit: 240 s
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isTerminalEvent } from '../../machines/event.ts';
import { createWorkspace, eventually, type Json } from '../support/server.ts';

/** `arbor backup` of a server under load, and `arbor restore` (promises 1, 3, 5, 15 over a copy). */
const test = suite('backup and restore');

const LANES = 4;

test('what was acknowledged before the backup began is in it, and goes on from there', async () => {
  await using space = createWorkspace();
  const config = space.config({
    commands: ['no-op', 'slow', 'write-artifact'],
    agents: { threads: 2 },
    limits: { drain: 5 },
  });
  const server = await space.serve({ config });
  const registration: Json = await server.open();
  const session: string = registration.session_id;
  const accepted: string[] = [];
  const large: Json = (await server.execute(session, { command: 'no-op', args: { pad: 30_000 } }, 'wait=30')).body;
  assert.ok(large.result_url, JSON.stringify(large));
  const running: Json = (await server.execute(session, { command: 'slow', args: { ms: 2_000 } })).body;
  accepted.push(large.execution_id, running.execution_id);

  let isOver = false;
  const lane = async (name: number): Promise<void> => {
    for (let n = 0; !isOver; n += 1) {
      const text = `${name}.${n}`;
      const body =
        n % 10 === 0
          ? { command: 'write-artifact', args: { name: 'a.txt', text } }
          : { command: 'no-op', args: { value: text }, idempotency_key: text };
      const answer = await server.execute(session, body, n % 3 === 0 ? 'respond-async' : 'wait=20');
      if (answer.status === 503) continue;
      assert.ok([200, 202].includes(answer.status), answer.text);
      accepted.push(answer.body.execution_id);
    }
  };
  const load = Promise.all(Array.from({ length: LANES }, (_, name) => lane(name)));
  // A lane that fails must not end the process before the test can say why.
  load.catch(() => undefined);
  await eventually('load', () => accepted.length > 100);
  const { head } = (await server.call('GET', '/v1/audit/verify')).body;
  const { seq } = (await server.call('GET', `/v1/sessions/${session}`)).body;
  const before = [...accepted];
  const target = join(space.directory, 'backup');
  const made = await space.arbor(['backup', target, '--data', server.data]).ended();
  assert.equal([made.code, made.stderr], [0, ''], made.stderr);
  assert.match(made.stdout, target);
  const during = accepted.length - before.length;
  assert.ok(during > 0, 'commands were accepted during the backup');
  isOver = true;
  await load;

  const again = await space.arbor(['backup', target, '--data', server.data]).ended();
  assert.equal([again.code, again.stderr], [1, `arbor: ${target} is there already\n`]);
  const restoring = ['restore', target, '--data'];
  const inUse = await space.arbor([...restoring, server.data, '--force']).ended();
  assert.is(inUse.code, 1);
  assert.match(inUse.stderr, /^arbor: .* is in use by another process.*\n$/);

  // Damage first, so that a refusal is seen to leave nothing.
  const restored = join(space.directory, 'restored');
  const database = join(target, 'journal.db');
  const whole = readFileSync(database);
  const damaged = Buffer.from(whole);
  damaged[whole.length >> 1] = (damaged[whole.length >> 1] as number) ^ 4;
  writeFileSync(database, damaged);
  const refused = await space.arbor([...restoring, restored]).ended();
  assert.equal([refused.code, refused.stderr], [1, `arbor: ${database} is damaged: it is not what was backed up\n`]);
  assert.equal(
    readdirSync(space.directory).filter((name) => name.startsWith('restored')),
    [],
  );
  writeFileSync(database, whole);
  const done = await space.arbor([...restoring, restored]).ended();
  assert.is(done.code, 0, done.stderr);

  // Beside the first, which goes on.
  const copy = await space.serve({ config, data: restored });
  assert.is(copy.key, server.key);
  await eventually('the end of every execution', async () => {
    const { body } = await copy.call('GET', `/v1/sessions/${session}`);
    return body.executions.length === 0;
  });
  const events = await copy.events(session);
  assert.equal(
    events.map((event) => event.seq),
    events.map((_, index) => index + 1),
  );
  const known = (await server.events(session)).slice(0, seq);
  assert.equal(events.slice(0, seq), known, 'what was told before');
  const ends = new Map<unknown, number>();
  for (const { type, data } of events) {
    const id = data['execution_id'];
    if (type === 'execution_queued') ends.set(id, 0);
    if (isTerminalEvent(type)) ends.set(id, (ends.get(id) ?? 0) + 1);
  }
  assert.equal(
    before.filter((id) => ends.get(id) !== 1),
    [],
    'each has one end',
  );
  for (const [id, count] of ends) assert.is(count, 1, String(id));
  assert.is((await copy.call('GET', `/v1/executions/${running.execution_id}`)).body.status, 'completed');
  const result = await copy.call('GET', large.result_url);
  assert.equal([result.status, result.body.pad.length], [200, 30_000]);
  for (const id of before.slice(-60)) {
    const { body } = await copy.call('GET', `/v1/executions/${id}`);
    for (const { name } of body.artifacts as Json[]) {
      const artifact = await copy.call('GET', `/v1/executions/${id}/artifacts/${name}`);
      assert.equal([artifact.status, artifact.text], [200, body.args.text]);
    }
  }
  const { body: verdict } = await copy.call('GET', `/v1/audit/verify?head=${head}`);
  assert.is(verdict.valid, true, JSON.stringify(verdict));
  const repeated = await copy.execute(session, {
    command: 'no-op',
    args: { value: '0.1' },
    idempotency_key: '0.1',
  });
  assert.ok(before.includes(repeated.body.execution_id), 'the idempotency keys are there');
  assert.is((await copy.call('GET', `/v1/sessions/${session}`, { token: registration.client_token })).status, 200);
  process.stdout.write(`${before.length} accepted before, ${during} during, ${events.length} events restored\n`);
  assert.is(await copy.stop(), 0);
  assert.is(await server.stop(), 0);

  // A server that is not running is backed up as well, and its directory is moved aside where that is asked for.
  const second = await space.arbor(['backup', `${target}-2`, '--data', restored]).ended();
  assert.is(second.code, 0, second.stderr);
  const forced = await space.arbor(['restore', `${target}-2`, '--data', restored, '--force']).ended();
  assert.is(forced.code, 0, forced.stderr);
  assert.match(forced.stdout, 'what was there is now');
  const nothing = await space.arbor(['backup', `${target}-3`, '--data', 'nowhere']).ended();
  assert.equal([nothing.code, nothing.stderr], [1, 'arbor: --data: there is no journal in nowhere\n']);
});

test.run();
