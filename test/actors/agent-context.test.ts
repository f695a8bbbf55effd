import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../contract/agents.ts';
import { failure, withPool } from '../support/agent-pool.ts';

const test = suite('agent-context');

test(
  'a handler is given its context, and arguments as the schema makes them',
  withPool({}, async ({ run, end }) => {
    run('exe_1', 'about', { upper: 'abc' }, 2);
    assert.equal(await end('exe_1'), {
      type: 'execution.complete',
      start: 2,
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
      ['crash', { how: 'throw' }, 'handler_failed', true, /^it went wrong$/],
      ['crash', { how: 'terminal' }, 'handler_failed', false, /^never again$/],
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
      assert.is(told.start, 4);
      assert.match(told.problem.detail, detail);
      assert.not.match(JSON.stringify(told), /agent-runner|\.ts:\d/, 'no stack');
    }
    assert.is((await failure(harness, 'exe_2')).problem.retry_after, 3);
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
      start: 1,
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

test.run();
