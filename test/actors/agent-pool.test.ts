import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createAgentPool } from '../../actors/agent-pool.ts';
import { agentsContract, commandModules, createReports, place, runOf, until } from '../contract/agents.ts';
import { failure, quickOnes, withPool } from '../support/agent-pool.ts';

const test = suite('agent-pool');

agentsContract(test, async (report, threads) => {
  const directory = await mkdtemp(join(tmpdir(), 'arbor-agents-'));
  const pool = createAgentPool({
    modules: commandModules('no-op', 'slow'),
    dataDirectory: directory,
    report,
    threads,
    graceMs: 100,
  });
  await pool.ready;
  return {
    ...pool,
    close: async (graceMs) => {
      await pool.close(graceMs);
      await rm(directory, { recursive: true, force: true });
    },
  };
});

for (const how of ['exit', 'rejection', 'timer']) {
  test(
    `a handler that ends its thread (${how}) costs its neighbours nothing`,
    withPool({}, async (harness) => {
      harness.run('exe_slow', 'slow', { ms: 500 });
      harness.run('exe_crash', 'crash', { how }, 2);
      await quickOnes(harness, 'n', 200);
      const told = await failure(harness, 'exe_crash');
      assert.is(told.problem.code, 'handler_crashed');
      assert.is(told.retryable, true);
      assert.is(told.start, 2);
      assert.is((await harness.end('exe_slow')).type, 'execution.complete');
      await until(() => harness.pool.readyThreads() === 2, 'a new thread');
      await quickOnes(harness, 'm', 50);
    }),
  );
}

test(
  'only the run that was at it is lost with a thread, not those before and behind it',
  withPool({ threads: 1 }, async (harness) => {
    // So that they travel together.
    for (let n = 0; n < 100; n++) harness.run(`exe_w${n}`, 'crash', { how: 'throw' });
    await harness.end('exe_w99');
    for (let n = 0; n < 40; n++) harness.run(`exe_${n}`, 'crash', { how: n === 20 ? 'exit' : 'throw' });
    for (let n = 0; n < 40; n++) {
      const { problem } = await failure(harness, `exe_${n}`);
      assert.is(problem.code, n === 20 ? 'handler_crashed' : 'handler_failed', `run ${n}`);
    }
  }),
);

test(
  'what an ended run has left behind is not blamed on the one that runs now',
  withPool({ threads: 1 }, async (harness) => {
    harness.run('exe_1', 'crash', { how: 'left-behind' });
    assert.is((await harness.end('exe_1')).type, 'execution.complete');
    harness.run('exe_2', 'slow', { ms: 200 });
    assert.is((await harness.end('exe_2')).type, 'execution.complete');
    await until(
      () => harness.logged.some(({ message }) => message === 'an agent thread has ended'),
      'the end of the thread',
    );
    await quickOnes(harness, 'n', 10);
  }),
);

for (const what of ['objects', 'map', 'text', 'buffers']) {
  test(
    `a full heap (${what}) costs its neighbours nothing`,
    withPool({ maxHeapMb: 128 }, async (harness) => {
      harness.run('exe_slow', 'slow', { ms: 500 });
      harness.run('exe_heap', 'fill-heap', { with: what });
      await quickOnes(harness, 'n', 20);
      const told = await failure(harness, 'exe_heap');
      assert.is(told.problem.code, 'handler_crashed');
      assert.is(told.retryable, true);
      assert.match(told.problem.detail, /memory/);
      assert.is((await harness.end('exe_slow')).type, 'execution.complete');
    }),
  );
}

test(
  'a handler that does not listen is ended by force, and its neighbours do not notice',
  withPool({}, async (harness) => {
    const { pool, run, of, end, logged } = harness;
    run('exe_spin', 'spin');
    run('exe_slow', 'slow', { ms: 600 });
    for (let n = 0; n < 20; n++) run(`exe_n${n}`, 'no-op');
    await new Promise((resolve) => setTimeout(resolve, 100));
    pool.stop('exe_spin', 'cancelled');
    assert.is(pool.has('exe_spin', 1), false);
    for (let n = 0; n < 20; n++) assert.is((await end(`exe_n${n}`)).type, 'execution.complete');
    assert.is((await end('exe_slow')).type, 'execution.complete');
    await until(() => logged.some(({ fields }) => fields['execution'] === 'exe_spin'), 'the forced end');
    assert.equal([...of('exe_spin', 'execution.fail'), ...of('exe_spin', 'execution.complete')], []);
    await until(() => pool.readyThreads() === 2, 'a new thread');
  }),
);

test(
  'a handler that listens keeps its thread',
  withPool({ threads: 1 }, async ({ pool, run, end, logged }) => {
    run('exe_1', 'slow', { ms: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    pool.stop('exe_1', 'timed_out');
    run('exe_2', 'no-op');
    await end('exe_2');
    assert.equal(logged, []);
  }),
);

test(
  'what was sent behind a run that takes longer than expected is run elsewhere, and only once',
  withPool({}, async (harness) => {
    const path = join(harness.directory, 'counted');
    const counted = async (): Promise<string[]> => (await readFile(path, 'utf8')).trim().split('\n').toSorted();
    // So that they are known as short and travel together.
    for (let n = 0; n < 100; n++) harness.run(`exe_w${n}`, 'slow', { ms: 0 });
    for (let n = 0; n < 100; n++) harness.run(`exe_v${n}`, 'count', { path });
    for (let n = 0; n < 100; n++) await Promise.all([harness.end(`exe_w${n}`), harness.end(`exe_v${n}`)]);
    await rm(path);
    harness.run('exe_long', 'slow', { ms: 1_000 });
    for (let n = 10; n < 40; n++) harness.run(`exe_${n}`, 'count', { path });
    for (let n = 10; n < 40; n++) await harness.end(`exe_${n}`);
    assert.is(harness.pool.has('exe_long', 1), true);
    await harness.end('exe_long');
    await quickOnes(harness, 'n', 20);
    assert.equal(
      await counted(),
      Array.from({ length: 30 }, (_, n) => `exe_${n + 10} 1`),
    );
  }),
);

test(
  'what waits behind a run that is stopped runs with the same attempt',
  withPool({ threads: 1 }, async (harness) => {
    for (let n = 0; n < 100; n++) harness.run(`exe_w${n}`, 'slow', { ms: 0 });
    await harness.end('exe_w99');
    harness.run('exe_long', 'slow', { ms: 60_000 });
    for (let n = 0; n < 5; n++) harness.run(`exe_${n}`, 'about', { upper: 'x' }, 7);
    harness.pool.stop('exe_2', 'cancelled');
    harness.pool.stop('exe_long', 'cancelled');
    for (const n of [0, 1, 3, 4]) {
      const told = await harness.end(`exe_${n}`);
      assert.is(told.start, 7);
      assert.is(told.type, 'execution.complete');
    }
    assert.is(
      harness.all.some(({ execution }) => execution === 'exe_2'),
      false,
    );
  }),
);

test('a module that does not load is named at once, and the pool comes up once it does', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'arbor-agents-'));
  const module = join(directory, 'command.mjs');
  const good = commandModules('no-op')[0] as string;
  const pool = (modules: string[]) =>
    createAgentPool({ modules, dataDirectory: directory, report: createReports().report, threads: 2 });
  const refusal = async (modules: string[]): Promise<string> => {
    const refused = pool(modules);
    const message = await refused.ready.then(
      () => 'ready',
      ({ message: why }: Error) => why,
    );
    await refused.close(0);
    return message;
  };
  assert.match(await refusal([good, pathToFileURL(module).href]), /command\.mjs could not be loaded/);
  await writeFile(module, 'export default { name: "no command" };');
  assert.match(await refusal([good, pathToFileURL(module).href]), /command\.mjs has no defineCommand/);
  assert.match(await refusal([good, good]), /no-op\.ts defines no-op, which is there already/);

  await writeFile(module, 'export default');
  const reports = createReports();
  const healing = createAgentPool({
    modules: [pathToFileURL(module).href],
    dataDirectory: directory,
    report: reports.report,
    threads: 2,
  });
  const why = await healing.ready.then(
    () => 'ready',
    (error: Error) => error.message,
  );
  assert.match(why, /command\.mjs could not be loaded/);
  await writeFile(module, `export { default } from ${JSON.stringify(good)};`);
  await until(() => healing.readyThreads() === 2, 'both threads');
  healing.run(runOf('exe_1', 'no-op'), place());
  assert.is((await reports.end('exe_1')).type, 'execution.complete');
  await healing.close(0);
  await rm(directory, { recursive: true, force: true });
});

test(
  'closes in time although a handler spins, and says nothing of what it ended',
  withPool({ threads: 1 }, async (harness) => {
    harness.run('exe_spin', 'spin');
    harness.run('exe_behind', 'no-op');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await harness.pool.close(200);
    assert.equal(harness.all, []);
    assert.equal(harness.pool.depth(), { queued: 0, reserved: 0, running: 0 });
  }),
);

test(
  'a handler that ends with the shutdown is to be tried again',
  withPool({}, async (harness) => {
    harness.run('exe_1', 'slow', { ms: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await harness.pool.close(1_000);
    const told = await failure(harness, 'exe_1');
    assert.is(told.problem.code, 'unavailable');
    assert.is(told.retryable, true);
  }),
);

test(
  'one session’s flood, accepted before it was known to be slow, costs another a turn',
  withPool({}, async (harness) => {
    const { pool, run, end, of, started } = harness;
    // So that much is accepted ahead.
    await quickOnes(harness, 'w', 500);
    const flood = Array.from({ length: 1_000 }, (_, n) => `exe_f${n}`);
    const queued = flood.filter((execution) => !pool.reserve(execution));
    const ahead = flood.filter((execution) => !queued.includes(execution));
    assert.ok(ahead.length > 100, `${ahead.length} were accepted ahead`);
    for (const execution of ahead) run(execution, 'slow', { ms: 100 });
    for (const execution of queued) pool.enqueue(execution, place('ses_a'), 100);
    await until(() => of('exe_f0', 'execution.complete').length > 0, 'the first of the flood');
    assert.is(pool.reserve('exe_lone'), false, 'nobody overtakes who waits');
    pool.enqueue('exe_lone', place('ses_lone'), 0);
    await until(() => started().includes('exe_lone'), 'its place');
    pool.run(runOf('exe_lone', 'no-op'), place('ses_lone'));
    assert.is((await end('exe_lone')).type, 'execution.complete');
    const done = ahead.filter((execution) => of(execution, 'execution.complete').length > 0);
    assert.ok(done.length < ahead.length / 2, `${done.length} of ${ahead.length} were before it`);
  }),
);

test.run();
