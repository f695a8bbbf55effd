// limit: 60 s
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createWorkspace, eventually } from '../support/server.ts';

/** Steps and sleeps over a crash (contract, section 8). */
const test = suite('durable executions');

test('three steps and a sleep over kill -9: each step once, the sleep no shorter, no attempt more', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['steps'], agents: { threads: 2 } });
  const server = await space.serve({ config });
  const { session_id } = await server.open();
  const path = join(space.directory, 'lines');
  const lines = (): string[] => readFileSync(path, 'utf8').trim().split('\n');
  const ms = 2_000;
  const accepted = await server.execute(session_id, { command: 'steps', args: { path, ms }, timeout: 60 });
  assert.is(accepted.status, 202, accepted.text);
  const { execution_id } = accepted.body;
  const waiting = async () =>
    (await server.events(session_id)).find(({ type }) => type === 'execution_waiting')?.data as { until: string };
  await eventually('the sleep', async () => (await waiting()) !== undefined);
  const { until } = await waiting();
  assert.equal(lines(), ['run 1', 'one', 'two']);
  await server.kill();

  const next = await space.serve({ config });
  const found = await next.call('GET', `/v1/executions/${execution_id}`);
  assert.ok(['waiting', 'queued', 'running', 'completed'].includes(found.body.status), found.text);
  const { body, text } = await next.call('GET', `/v1/executions/${execution_id}?wait=30`);
  assert.equal([body.status, body.attempts], ['completed', 1], text);
  const [one, two, three, ended] = body.result;
  assert.equal([one, two.after, two.text, three], ['one', 'one', 'two', 'three']);
  assert.ok(ended - two.at >= ms, `${ended - two.at} ms`);
  assert.ok(ended >= Date.parse(until), 'never early');
  assert.equal(lines(), ['run 1', 'one', 'two', 'run 1', 'three']);
  const log = await next.events(session_id);
  assert.equal(
    log.filter(({ type }) => type.startsWith('execution_')).map(({ type }) => type.slice('execution_'.length)),
    ['queued', 'started', 'waiting', 'started', 'completed'],
  );
  assert.is(await next.stop(), 0);
});

test.run();
