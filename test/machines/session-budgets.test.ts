import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { executionAddress } from '../../machines/address.ts';
import type { Capability } from '../../machines/capability.ts';
import type { Constraints } from '../../machines/constraint.ts';
import { problem } from '../../machines/error.ts';
import type { ClientId, ExecutionId } from '../../machines/id.ts';
import { SESSION, body, code, createSession, executionState, facts, newMember, reason } from '../support/session.ts';
import type { TestSession } from '../support/session.ts';

const test = suite('session: budgets');

const HOUR = 3_600_000;
/** A session in which so many clients have come by one share with these constraints. */
const withShare = (constraints: Constraints, clients = 1) => {
  const one = createSession();
  body(one.share({ id: 'a', constraints }));
  for (let n = 1; n <= clients; n += 1) body(one.join('shr_a', `a${n}`));
  return one;
};
const use = (one: TestSession, client_id: ClientId, more: Parameters<TestSession['execute']>[0] = {}) =>
  one.execute({ caller: one.as(client_id), ...more });
const meter = ({ context }: TestSession, id: string) => context().ledger.meters[id];

test('two hundred calls on a budget of a hundred let exactly a hundred through, whoever makes them', () => {
  const one = withShare({}, 4);
  const answers = Array.from({ length: 200 }, (_, n) => use(one, `cli_a${(n % 4) + 1}`));
  assert.is(answers.filter(({ ok }) => ok).length, 100);
  for (const answer of answers.filter(({ ok }) => !ok))
    assert.equal([code(answer), reason(answer)], ['security_violation', 'exhausted']);
  assert.is(one.context().counts.accepted, 100);
  // What has ended was used all the same.
  for (const { id } of one.context().executions) one.complete(id);
  one.ring.restore();
  assert.is(reason(use(one, 'cli_a1')), 'exhausted');
  body(one.execute());
});

test('a hundred clients by one share spend one budget', () => {
  const one = withShare({ max_operations: 30 }, 99);
  assert.is(Object.keys(one.context().clients).length, 100);
  const answers = Array.from({ length: 99 }, (_, n) => use(one, `cli_a${n + 1}`));
  assert.is(answers.filter(({ ok }) => ok).length, 30);
  assert.ok(answers.slice(0, 30).every(({ ok }) => ok));
});

test('two children cannot spend more than their parent, nor the parent what they have spent', () => {
  const one = withShare({ max_operations: 5, may_share: true });
  for (const id of ['b', 'c']) {
    body(one.share({ id, caller: one.as('cli_a1'), constraints: { max_operations: 4 } }));
    one.join(`shr_${id}`, id);
  }
  const spent = (['cli_b', 'cli_b', 'cli_b', 'cli_c', 'cli_a1', 'cli_c', 'cli_b', 'cli_a1'] as const).map((id) =>
    reason(use(one, id)),
  );
  assert.equal(spent, ['ok', 'ok', 'ok', 'ok', 'ok', 'exhausted', 'exhausted', 'exhausted']);
  const used = ['cap_a', 'cap_b', 'cap_c'].map((id) => meter(one, id)?.used);
  assert.equal(used, [5, 3, 1]);
});

/** Every way in which what runs can end. */
const ENDS: Readonly<Record<string, (one: TestSession, id: ExecutionId) => void>> = {
  completed: (one, id) => one.complete(id),
  failed: (one, id) => {
    const cause = problem('handler_failed', 'no');
    one.agent(id, { type: 'execution.fail', start: 1, problem: cause, retryable: false, artifacts: [] } as {
      type: string;
    });
  },
  cancelled: (one, id) => void one.cancel(id),
  timed_out: (one) => one.ring.advance(30_000),
  'given up': (one, id) => one.ring.fail(executionAddress(SESSION, id)),
};

test('max_concurrent is freed by every end, once', () => {
  for (const [way, end] of Object.entries(ENDS)) {
    const one = withShare({ max_concurrent: 1 }, 2);
    body(use(one, 'cli_a1', { execution_id: 'exe_a' }));
    const full = use(one, 'cli_a2');
    assert.ok(!full.ok && full.problem.status === 429 && full.problem.retry_after === 1, way);
    assert.is(full.problem.reason, 'concurrent');
    end(one, 'exe_a');
    if (way !== 'given up') assert.is(executionState(one, 'exe_a'), way);
    assert.is(meter(one, 'cap_a')?.running, 0, way);
    body(use(one, 'cli_a2', { execution_id: 'exe_b' }));
    // It has ended, so it says nothing more.
    one.complete('exe_a');
    assert.is(meter(one, 'cap_a')?.running, 1, way);
    assert.is(reason(use(one, 'cli_a1')), 'concurrent');
  }
});

test('what is queued, retried and run again takes one place all the while', () => {
  const one = withShare({ max_concurrent: 1 });
  const running = () => [executionState(one, 'exe_a'), meter(one, 'cap_a')?.running];
  use(one, 'cli_a1', { execution_id: 'exe_a', reserved: false });
  assert.equal(running(), ['queued', 1]);
  one.agent('exe_a', { type: 'execution.start' });
  const lost = { type: 'execution.fail', start: 1, retryable: true, artifacts: [] };
  one.agent('exe_a', { ...lost, problem: problem('handler_crashed', 'gone') } as { type: string });
  assert.equal(running(), ['retrying', 1]);
  one.ring.advance(1_000);
  assert.equal(running(), ['queued', 1]);
  one.agent('exe_a', { type: 'execution.start' });
  one.complete('exe_a', 2);
  assert.equal(running(), ['completed', 0]);
});

test('the end of what ran below a revoked capability still frees those above it', () => {
  const one = withShare({ max_concurrent: 1, may_share: true });
  one.share({ id: 'b', caller: one.as('cli_a1') });
  one.join('shr_b', 'b');
  body(use(one, 'cli_b', { execution_id: 'exe_b' }));
  assert.is(reason(use(one, 'cli_a1')), 'concurrent');
  one.unshare('shr_b');
  assert.equal([executionState(one, 'exe_b'), meter(one, 'cap_b')], ['cancelled', undefined]);
  assert.equal(meter(one, 'cap_a'), { used: 1, running: 0, window: [] });
  body(use(one, 'cli_a1'));
});

test('rate_limit holds for an hour, over restarts, and says when to come back', () => {
  const one = withShare({ rate_limit: 2 });
  body(use(one, 'cli_a1'));
  one.ring.advance(10 * 60_000);
  body(use(one, 'cli_a1'));
  one.ring.restore();
  const full = use(one, 'cli_a1');
  assert.ok(!full.ok && full.problem.status === 429 && full.problem.reason === 'rate_limited');
  const wait = (full.problem.retry_after ?? 0) * 1_000;
  assert.ok(wait > 50 * 60_000 && wait <= 51 * 60_000 + 60_000, String(wait));
  one.ring.advance(wait - 1_000);
  assert.is(reason(use(one, 'cli_a1')), 'rate_limited');
  one.ring.advance(1_000);
  body(use(one, 'cli_a1'));
  assert.is(reason(use(one, 'cli_a1')), 'rate_limited');
  one.ring.advance(HOUR + 60_000);
  assert.equal([reason(use(one, 'cli_a1')), reason(use(one, 'cli_a1'))], ['ok', 'ok']);
});

test('the limits of what a client registered with are its own', () => {
  const one = createSession();
  for (const id of ['2', '3']) one.register(newMember(id, 'bob', { constraints: { max_operations: 1 } }));
  assert.equal([reason(use(one, 'cli_2')), reason(use(one, 'cli_2'))], ['ok', 'exhausted']);
  assert.equal([reason(use(one, 'cli_3')), reason(use(one, 'cli_3'))], ['ok', 'exhausted']);
});

/** A refusal of each kind, in a session made for it; each must leave the ledger as it was. */
const REFUSALS: Readonly<Record<string, (one: TestSession) => ReturnType<TestSession['execute']>>> = {
  operation: (one) => use(one, 'cli_a1', { command: facts({ operation: 'write' }) }),
  scope: (one) => use(one, 'cli_a1', { command: facts({ name: 'chat' }) }),
  webhook_required: (one) => use(one, 'cli_a1', { unattended: true }),
  conflict: (one) => use(one, 'cli_a1', { idempotency: { key: 'k', body_hash: 'another' } }),
  'conflict ': (one) => use(one, 'cli_a1', { execution_id: 'exe_first' }),
  replayed: (one) => use(one, 'cli_a1', { idempotency: { key: 'k', body_hash: 'same' } }),
  overloaded: (one) => {
    for (let n = 0; n < 1_000; n += 1) one.execute({ reserved: false });
    return use(one, 'cli_a1', { reserved: false });
  },
  rate_limited: (one) => {
    for (let n = 0; n < 4; n += 1) use(one, 'cli_a1');
    return use(one, 'cli_a1');
  },
  concurrent: (one) => {
    for (let n = 0; n < 2; n += 1) use(one, 'cli_a1');
    return use(one, 'cli_a1');
  },
  exhausted: (one) => {
    one.share({ id: 'b', caller: one.as('cli_a1'), constraints: { max_operations: 1 } });
    one.join('shr_b', 'b');
    use(one, 'cli_b');
    return use(one, 'cli_b');
  },
};

test('no refusal charges anything, nor does a replay', () => {
  for (const [way, refuse] of Object.entries(REFUSALS)) {
    const limits: Constraints = { max_operations: 9, require_webhook: true, may_share: true };
    const own: Constraints = way === 'concurrent' ? { max_concurrent: 3 } : { rate_limit: 5 };
    const one = createSession();
    const operations: Capability['operations'] = ['read'];
    body(one.share({ id: 'a', operations, scope: ['analyze'], constraints: { ...limits, ...own } }));
    one.join('shr_a', 'a1');
    body(use(one, 'cli_a1', { execution_id: 'exe_first', idempotency: { key: 'k', body_hash: 'same' } }));
    let before = one.context();
    const { execute } = one;
    const answer = refuse({ ...one, execute: (more) => ((before = one.context()), execute(more)) });
    const { ledger, counts, executions } = one.context();
    assert.is(answer.ok ? 'replayed' : (answer.problem.reason ?? answer.problem.code), way.trim());
    assert.equal([ledger, counts, executions], [before.ledger, before.counts, before.executions], way);
  }
});

test('a key that is known is answered alike when the budget is used up, and charges nothing', () => {
  const one = withShare({ max_operations: 1 });
  const idempotency = { key: 'k', body_hash: 'h' };
  const first = body(use(one, 'cli_a1', { idempotency }));
  one.ring.restore();
  assert.is(reason(use(one, 'cli_a1')), 'exhausted');
  assert.equal(body(use(one, 'cli_a1', { idempotency })), { execution_id: first['execution_id'], replayed: true });
  assert.is(meter(one, 'cap_a')?.used, 1);
});

test('what the owner does with a key of its own is not metered', () => {
  const one = createSession();
  for (let n = 0; n < 300; n += 1) body(one.execute());
  assert.equal(one.context().ledger.meters, {});
});

test.run();
