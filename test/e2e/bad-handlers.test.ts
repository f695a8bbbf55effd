import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isTerminalEvent } from '../../machines/event.ts';
import { createWorkspace } from '../support/server.ts';
import { checkEnds, checkLog, settledLog } from './log-laws.ts';

/**
 * Promise 7: whatever a handler does to its thread, it ends in a coded terminal state within its deadline and costs other
 * sessions nothing but time. What cannot be survived is what ends the process from within: a signal that a handler sends to
 * it (`process.kill(process.pid)`), a crash of native code; code that does that belongs in a process of its own.
 */
const test = suite('bad handlers');

const crash = (how: string): object => ({ command: 'crash', args: { how } });
/** Seconds; what never ends by itself. */
const SHORT = 3;

/** Each with how it may end: `retrying` has its deadline before its third attempt on a slow machine. */
const HANDLERS: readonly (readonly [name: string, body: object, code: RegExp])[] = [
  ['spins', { command: 'spin', timeout: SHORT }, /^timed_out$/],
  ['blocks its thread for ever', { ...crash('block'), timeout: SHORT }, /^timed_out$/],
  ['ends its process', crash('exit'), /^attempts_exhausted$/],
  ['aborts its process', crash('abort'), /^handler_failed$/],
  ['throws', crash('throw'), /^handler_failed$/],
  ['rejects and nobody looks', crash('rejection'), /^attempts_exhausted$/],
  ['throws in a timer', crash('timer'), /^attempts_exhausted$/],
  ['answers what it may not', crash('bad-result'), /^result_invalid$/],
  [
    'fills its heap',
    { command: 'fill-heap', args: { with: 'objects' }, timeout: 2 * SHORT },
    /^(attempts_exhausted|timed_out)$/,
  ],
  [
    'fills memory beside its heap',
    { command: 'fill-heap', args: { with: 'buffers' }, timeout: 2 * SHORT },
    /^(attempts_exhausted|timed_out)$/,
  ],
  ['says more than it may', { command: 'talk', args: { chunks: 1e9, size: 60_000, awaited: false } }, /output/],
  ['says more than it may, and waits', { command: 'talk', args: { chunks: 1e9, size: 60_000 } }, /output/],
  ['prints without end', { ...crash('print'), timeout: SHORT }, /^timed_out$/],
  ['prints and never yields', { ...crash('print-and-spin'), timeout: SHORT }, /^(timed_out|attempts_exhausted)$/],
];

const memoryOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;

test('every handler that misbehaves ends, and another session does not notice', async () => {
  await using space = createWorkspace();
  const commands = ['crash', 'spin', 'fill-heap', 'talk', 'no-op'];
  const server = await space.serve({ config: space.config({ commands, agents: { threads: 3 } }) });
  const [bad, good] = [await server.open(), await server.open()];
  const before = memoryOf(server.child.pid as number);

  const names = new Map<string, readonly [name: string, code: RegExp]>();
  for (const [name, body, code] of HANDLERS) {
    const answer = await server.execute(bad.session_id, { timeout: 60, ...body });
    assert.is(answer.status, 202, answer.text);
    names.set(answer.body.execution_id, [name, code]);
  }
  const left = await server.execute(bad.session_id, { ...crash('left-behind'), timeout: 60 });
  const timers = await server.execute(bad.session_id, { ...crash('timers'), timeout: 60 });

  let ended = false;
  let others = 0;
  const work = async (): Promise<void> => {
    while (!ended || others < 10) {
      const value = (others += 1);
      const { body, text } = await server.execute(good.session_id, { command: 'no-op', args: { value } }, 'wait=60');
      assert.equal([body.status, body.result?.value], ['completed', value], text);
    }
  };
  const working = work();
  working.catch(() => undefined);
  const log = await settledLog(server, bad.session_id);
  ended = true;
  await working;

  checkLog(log, [], []);
  checkEnds(log);
  for (const [execution, [name, code]] of names) {
    const { body, text } = await server.call('GET', `/v1/executions/${execution}`);
    assert.match(String(body.error?.code), code, `${name}: ${text}`);
    assert.match(body.status, /^(failed|timed_out)$/, name);
  }
  // What they left behind is not theirs any more.
  for (const { body } of [left, timers])
    assert.is((await server.call('GET', `/v1/executions/${body.execution_id}`)).body.status, 'completed');
  const goods = await server.events(good.session_id);
  assert.is(goods.filter(({ type }) => isTerminalEvent(type)).length, others);
  assert.ok(goods.every(({ type }) => !/failed|cancelled|timed_out|restarted|retrying/.test(type)));
  assert.is((await server.call('GET', '/readyz')).status, 200);
  assert.is(server.stdout().split('\n').length, 2, 'nothing but the ready line');
  assert.not.match(
    server.stderr(),
    /"what":"(actor|shard_worker|shard_pool)"/,
    'nothing but threads of handlers ended',
  );
  const grown = memoryOf(server.child.pid as number) - before;
  assert.ok(grown < 1_024, `${Math.round(grown)} MiB more`);
  process.stdout.write(`${others} commands of another session meanwhile, ${Math.round(grown)} MiB more\n`);
  assert.is(await server.stop(), 0);
});

test.run();
