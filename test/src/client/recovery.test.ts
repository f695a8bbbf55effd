import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError, type ErrorCode } from '../../../machines/error.ts';
import { withRecovery } from '../../../src/client/recovery.ts';

const test = suite('recovery');

const NOW = { backoff: { base_ms: 1, cap_ms: 1 }, random: () => 0 } as const;
const failing = (code: ErrorCode, times: number, more = {}) => {
  let calls = 0;
  return {
    calls: () => calls,
    run: async (attempt: number): Promise<string> => {
      calls += 1;
      assert.is(attempt, calls);
      if (calls <= times) throw new ProblemError(code, 'not now', { more });
      return 'done';
    },
  };
};
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof ProblemError ? error.problem.code : String(error)),
  );

test('what may succeed later is tried so often and no more, and ends with the last error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.nat(8), async (attempts, failures) => {
      const one = failing('overloaded', failures);
      const said = await codeOf(withRecovery(one.run, { ...NOW, attempts }));
      assert.is(said, failures < attempts ? 'done' : 'overloaded');
      assert.is(one.calls(), Math.min(attempts, failures + 1));
    }),
    { numRuns: 60 },
  );
});

test('it is tried five times unless something else is said, and waits twice as long before each', async () => {
  const one = failing('overloaded', 9);
  const started = performance.now();
  const options = { backoff: { base_ms: 10, cap_ms: 1_000 }, random: () => 1 - 2 ** -53 };
  assert.equal([await codeOf(withRecovery(one.run, options)), one.calls()], ['overloaded', 5]);
  // Never sooner than 10, 20, 40 and 80 ms, less what timers are early.
  assert.ok(performance.now() - started >= 140);
});

test('what another attempt would not change ends it at once', async () => {
  for (const code of ['conflict', 'security_violation', 'not_found'] as const) {
    const one = failing(code, 9);
    assert.equal([await codeOf(withRecovery(one.run, NOW)), one.calls()], [code, 1]);
  }
  const own = failing('conflict', 1);
  assert.is(await withRecovery(own.run, { ...NOW, isRetryable: () => true }), 'done');
});

test('the server’s Retry-After is kept, and a signal ends the waiting', async () => {
  const one = failing('rate_limited', 1, { retry_after: 0.2 });
  const started = performance.now();
  await withRecovery(one.run, NOW);
  assert.ok(performance.now() - started >= 190);
  const stop = new AbortController();
  const two = failing('rate_limited', 1, { retry_after: 600 });
  setTimeout(() => stop.abort(), 20);
  assert.equal(
    [await codeOf(withRecovery(two.run, { ...NOW, signal: stop.signal })), two.calls()],
    ['rate_limited', 1],
  );
});

test.run();
