import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AgentLogEntry, AgentPoolOptions } from '../../actors/agent-options.ts';
import { createAgentPool, type AgentPool } from '../../actors/agent-pool.ts';
import {
  agentsContract,
  commandModules,
  createReports,
  place,
  runOf,
  until,
  type Reports,
} from '../contract/agents.ts';

const test = suite('agent-pool');

interface Harness extends Reports {
  readonly pool: AgentPool;
  readonly directory: string;
  readonly logged: AgentLogEntry[];
  run(execution: string, command: string, args?: unknown, attempt?: number): void;
}

const withPool =
  (
    options: Partial<AgentPoolOptions>,
    body: (harness: Harness) => Promise<void>,
    commit: Reports['commit'] = () => Promise.resolve(),
  ) =>
  async (): Promise<void> => {
    const directory = await mkdtemp(join(tmpdir(), 'arbor-agents-'));
    const reports = createReports();
    reports.commit = commit;
    const logged: AgentLogEntry[] = [];
    const pool = createAgentPool({
      modules: commandModules(
        'no-op',
        'slow',
        'spin',
        'crash',
        'fill-heap',
        'talk',
        'write-artifact',
        'about',
        'count',
      ),
      dataDirectory: directory,
      roots: ['/srv/data'],
      report: reports.report,
      onLog: (entry) => void logged.push(entry),
      threads: 2,
      graceMs: 100,
      ...options,
    });
    const run: Harness['run'] = (execution, command, args = {}, attempt = 1) =>
      pool.run(runOf(execution, command, args, attempt), place());
    try {
      await pool.ready;
      await body({ ...reports, pool, directory, logged, run });
    } finally {
      await pool.close(0);
      await rm(directory, { recursive: true, force: true });
    }
  };

/** Runs `count` quick ones and waits for all: each ends once, and well. */
const quickOnes = async ({ run, end }: Harness, name: string, count: number): Promise<void> => {
  for (let n = 0; n < count; n++) run(`exe_${name}${n}`, 'no-op', { value: n });
  for (let n = 0; n < count; n++) assert.is((await end(`exe_${name}${n}`)).type, 'execution.complete');
};

const failure = async (harness: Harness, execution: string) => {
  const message = await harness.end(execution);
  if (message.type !== 'execution.fail') return assert.unreachable(`${execution} did not fail`) as never;
  return message;
};

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

test(
  'a handler is given its context, and arguments as the schema makes them',
  withPool({}, async ({ run, end }) => {
    run('exe_1', 'about', { upper: 'abc' }, 2);
    assert.equal(await end('exe_1'), {
      type: 'execution.complete',
      attempt: 2,
      artifacts: [],
      result: {
        args: { upper: 'ABC', count: 3 },
        session: 'ses_a',
        execution: 'exe_1',
        attempt: 2,
        idempotency_key: 'key of exe_1',
        roots: ['/srv/data'],
        aborted: false,
      },
    });
  }),
);

test(
  'what a handler may do wrong, and what is said of it',
  withPool({}, async (harness) => {
    const cases: [command: string, args: unknown, code: string, retryable: boolean, detail: RegExp][] = [
      ['crash', { how: 'throw' }, 'handler_failed', false, /^it went wrong$/],
      ['crash', { how: 'retryable' }, 'handler_failed', true, /^try again$/],
      ['crash', { how: 'problem' }, 'rate_limited', true, /^come back later$/],
      ['crash', { how: 'bad-result' }, 'result_invalid', false, /crash returned what its schema forbids/],
      ['crash', { how: 'bigint' }, 'result_invalid', false, /JSON cannot hold/],
      ['crash', { how: 'unheard of' }, 'invalid_input', false, /arguments of crash/],
      ['nobody', {}, 'unknown_command', false, /nobody/],
    ];
    for (const [index, [command, args, code, retryable, detail]] of cases.entries()) {
      harness.run(`exe_${index}`, command, args, 4);
      const told = await failure(harness, `exe_${index}`);
      assert.is(told.problem.code, code);
      assert.is(told.retryable, retryable, code);
      assert.is(told.attempt, 4);
      assert.match(told.problem.detail, detail);
      assert.not.match(JSON.stringify(told), /agent-runner|\.ts:\d/, 'no stack');
    }
    assert.is((await failure(harness, 'exe_2')).problem.retry_after, 3);
  }),
);

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
      assert.is(told.attempt, 2);
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
      assert.is(told.attempt, 7);
      assert.is(told.type, 'execution.complete');
    }
    assert.is(
      harness.all.some(({ execution }) => execution === 'exe_2'),
      false,
    );
  }),
);

test(
  'progress: the first at once, the last always, ten a second, before the end',
  withPool({}, async ({ run, end, of, all }) => {
    const started = performance.now();
    run('exe_1', 'talk', { progress: 25, pause_ms: 10 });
    run('exe_2', 'talk', { progress: 1 });
    await end('exe_1');
    const steps = of('exe_1', 'execution.progress');
    const seconds = (performance.now() - started) / 1000;
    assert.equal(steps[0], {
      type: 'execution.progress',
      attempt: 1,
      progress: 4,
      message: 'step 1',
      metadata: { n: 1 },
    });
    assert.is(steps.at(-1)?.progress, 100);
    assert.ok(steps.length > 2 && steps.length <= 10 * Math.ceil(seconds) + 1, `${steps.length} in ${seconds} s`);
    assert.is(all.filter(({ execution }) => execution === 'exe_1').at(-1)?.message.type, 'execution.complete');
    assert.is(of('exe_2', 'execution.progress').length, 1);
  }),
);

test(
  'output: all of it, in order per stream, in few events, before the end',
  withPool({}, async ({ run, end, of, all }) => {
    run('exe_1', 'talk', { chunks: 400, size: 1_000, both: true });
    const told = await end('exe_1');
    assert.equal(told.type === 'execution.complete' && told.result, { written: 400_000 });
    const events = of('exe_1', 'execution.output');
    assert.ok(events.length <= 20, `${events.length} events`);
    for (const [stream, odd] of [
      ['stdout', 0],
      ['stderr', 1],
    ] as const) {
      const text = events
        .filter((each) => each.stream === stream)
        .map(({ chunk }) => chunk)
        .join('');
      const numbers = text
        .trim()
        .split('\n')
        .map((line) => Number(line.split(':')[0]));
      assert.equal(
        numbers,
        Array.from({ length: 200 }, (_, n) => n * 2 + odd),
      );
    }
    assert.is(all.at(-1)?.message.type, 'execution.complete');
  }),
);

test('output waits for what is not yet durable', async () => {
  const commits: (() => void)[] = [];
  await withPool(
    {},
    async (harness) => {
      const { run, end, of, pool } = harness;
      run('exe_1', 'talk', { chunks: 40, size: 20_000 });
      const bytes = (): number => of('exe_1', 'execution.output').reduce((sum, { chunk }) => sum + chunk.length, 0);
      await until(() => bytes() >= 256 * 1024, 'a full window');
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.ok(bytes() <= 256 * 1024 + 64 * 1024, `${bytes()} bytes sent`);
      assert.is(pool.has('exe_1', 1), true);
      const releasing = setInterval(() => commits.splice(0).forEach((commit) => commit()), 5);
      const told = await end('exe_1');
      clearInterval(releasing);
      assert.is(told.type, 'execution.complete');
      assert.is(bytes(), 800_000);
    },
    () => new Promise((resolve) => void commits.push(resolve)),
  )();
});

for (const awaited of [true, false]) {
  test(
    `output beyond the bound ends the run (${awaited ? 'awaited' : 'not awaited'})`,
    withPool({}, async (harness) => {
      harness.run('exe_1', 'talk', { chunks: 100, size: 100_000, awaited });
      const told = await failure(harness, 'exe_1');
      assert.is(told.problem.code, 'output_exceeded');
      assert.is(told.retryable, false);
    }),
  );
}

test(
  'log lines go to the log, with whose they are',
  withPool({}, async ({ run, end, logged, all }) => {
    run('exe_1', 'talk', { lines: 700 });
    await end('exe_1');
    await until(() => logged.length > 500, 'the lines');
    const source = { execution: 'exe_1', session: 'ses_a', attempt: 1, command: 'talk' };
    assert.equal(logged[0], { level: 'info', message: 'line 0', fields: { n: 0 }, source });
    assert.equal(logged[500], { level: 'warn', message: 'log lines were dropped', fields: { dropped: 200 }, source });
    assert.is(all.length, 1, 'a log line is no event');
  }),
);

test(
  'an artifact is there whole before the end',
  withPool({}, async (harness) => {
    const { run, end, directory } = harness;
    const text = 'ä'.repeat(1_000);
    for (const awaited of [true, false]) {
      const execution = `exe_${awaited}`;
      run(execution, 'write-artifact', { name: 'report.txt', text, awaited });
      const told = await end(execution);
      const bytes = await readFile(join(directory, 'artifacts', execution, 'report.txt'));
      assert.is(bytes.toString(), text);
      assert.equal(await readdir(join(directory, 'artifacts', execution)), ['report.txt']);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      assert.equal(told.type === 'execution.complete' && told.artifacts, [
        { name: 'report.txt', bytes: 2_000, sha256, media_type: 'text/plain' },
      ]);
    }
    run('exe_bad', 'write-artifact', { name: '../escape', text });
    assert.is((await failure(harness, 'exe_bad')).problem.code, 'invalid_input');
    run('exe_reserved', 'write-artifact', { name: 'result', text });
    assert.is((await failure(harness, 'exe_reserved')).problem.code, 'invalid_input');
  }),
);

test(
  'a large result becomes an artifact',
  withPool({}, async ({ run, end, directory }) => {
    for (const pad of [16_000, 17_000]) {
      run(`exe_${pad}`, 'no-op', { pad });
      const told = await end(`exe_${pad}`);
      const result = { value: null, pad: 'x'.repeat(pad) };
      if (told.type !== 'execution.complete') return assert.unreachable();
      if (pad === 16_000) {
        assert.equal([told.result, told.artifacts], [result, []]);
      } else {
        assert.is(told.result, null);
        assert.equal(
          told.artifacts.map(({ name, media_type }) => [name, media_type]),
          [['result', 'application/json']],
        );
        assert.equal(JSON.parse(await readFile(join(directory, 'artifacts', 'exe_17000', 'result'), 'utf8')), result);
      }
    }
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

test.run();
