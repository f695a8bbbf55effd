import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_GRANTS, type Grant } from '../../../machines/capability.ts';
import {
  createPrincipalLimits,
  principalRateLimits,
  type PrincipalRateLimits,
  type PrincipalUse,
} from '../../../src/gateway/principal-limits.ts';
import { startGateway } from '../../support/gateway.ts';

const LIMITS: PrincipalRateLimits = { cli: 2, web: 3, api: 4, mcp_tool: 1 };
const USE: PrincipalUse = { principal: 'ada', command: 'work', type: 'cli', repeatKey: null };

const test = suite('limits of a principal');

test('are ten times what the type is granted, unless they are configured', () => {
  assert.equal(principalRateLimits(DEFAULT_GRANTS), { cli: 10_000, web: 5_000, api: 100_000, mcp_tool: 1_000 });
  assert.equal(principalRateLimits(DEFAULT_GRANTS, { web: 7, mcp_tool: undefined }), {
    cli: 10_000,
    web: 7,
    api: 100_000,
    mcp_tool: 1_000,
  });
  const free: Grant = { resource_type: 'cli_operations', operations: ['read'], scope: ['*'], constraints: {} };
  assert.equal(principalRateLimits({ cli: [free], web: [free], api: [free] }), {
    cli: Infinity,
    web: Infinity,
    api: Infinity,
    mcp_tool: Infinity,
  });
});

test('refuse what is over, with what a caller needs to come back', async () => {
  let now = 0;
  const limits = createPrincipalLimits(LIMITS, () => now);
  assert.ok((await limits.consume(USE)).ok);
  assert.ok((await limits.consume(USE)).ok);
  now = 600_000;
  const refused = await limits.consume(USE);
  assert.not.ok(refused.ok);
  if (refused.ok) return;
  const { code, reason, retry_after, limit } = refused.problem;
  assert.equal([code, reason, retry_after], ['rate_limited', 'principal', 3_000]);
  assert.equal(limit, { policy: 'principal', quota: 2, window: 3_600 });
  now = 3_600_000;
  assert.ok((await limits.consume(USE)).ok);
});

test('are exact for uses at the same time', async () => {
  const limits = createPrincipalLimits({ ...LIMITS, cli: 100 }, () => 0);
  const results = await Promise.all(Array.from({ length: 500 }, () => limits.consume(USE)));
  assert.is(results.filter(({ ok }) => ok).length, 100);
});

test('count by principal and command; what it acts as says how many', async () => {
  const limits = createPrincipalLimits(LIMITS, () => 0);
  for (let n = 0; n < 2; n++) assert.ok((await limits.consume(USE)).ok);
  assert.not.ok((await limits.consume(USE)).ok);
  assert.ok((await limits.consume({ ...USE, principal: 'bob' })).ok);
  assert.ok((await limits.consume({ ...USE, command: 'help' })).ok);
  // What was used as one type is used: another one leaves only what it has more.
  assert.ok((await limits.consume({ ...USE, type: 'web' })).ok);
  assert.not.ok((await limits.consume({ ...USE, type: 'web' })).ok);
});

test('what was not accepted does not count', async () => {
  const limits = createPrincipalLimits(LIMITS, () => 0);
  for (let n = 0; n < 10; n++) {
    const consumed = await limits.consume(USE);
    assert.ok(consumed.ok);
    if (consumed.ok) consumed.refund();
  }
  assert.ok((await limits.consume(USE)).ok);
});

test('a repeat passes where the limit is reached, what is new does not', async () => {
  const limits = createPrincipalLimits({ ...LIMITS, cli: 1 }, () => 0);
  const first = await limits.consume({ ...USE, repeatKey: 'k' });
  if (first.ok) first.accepted();
  for (let n = 0; n < 3; n++) {
    const again = await limits.consume({ ...USE, repeatKey: 'k' });
    assert.ok(again.ok);
    if (again.ok) again.refund();
  }
  assert.not.ok((await limits.consume({ ...USE, repeatKey: 'l' })).ok);
  assert.not.ok((await limits.consume(USE)).ok);
});

test('hold over sessions, in HTTP with the fields of the draft', async () => {
  const on = await startGateway({ principalRateLimit: { api: 2 } });
  try {
    const give = async (key?: string) => {
      const { session_id } = await on.open();
      const body = { command: 'work', ...(key === undefined ? {} : { idempotency_key: key }) };
      return { session_id, answer: await on.call('POST', `/v1/sessions/${session_id}/commands`, { body }) };
    };
    const first = await give('k');
    assert.is(first.answer.status, 202, first.answer.text);
    const path = `/v1/sessions/${first.session_id}/commands`;
    const again = await on.call('POST', path, { body: { command: 'work', idempotency_key: 'k' } });
    assert.is(again.body.execution_id, first.answer.body.execution_id);
    assert.is((await give()).answer.status, 202);
    const reserved = on.system.reserved.size;
    const { answer } = await give();
    assert.is(answer.status, 429, answer.text);
    assert.equal([answer.body.code, answer.body.reason], ['rate_limited', 'principal']);
    const after = answer.headers.get('retry-after');
    assert.ok(Number(after) > 3_500 && Number(after) <= 3_600);
    assert.is(answer.headers.get('ratelimit-policy'), '"principal";q=2;w=3600');
    assert.is(answer.headers.get('ratelimit'), `"principal";r=0;t=${after}`);
    assert.is(on.system.reserved.size, reserved);
    const repeat = await on.call('POST', path, { body: { command: 'work', idempotency_key: 'k' } });
    assert.is(repeat.status, 202, 'a repeat is answered alike');
    assert.is((await on.call('POST', path, { body: { command: 'help', wait: 0 } })).status, 202);
  } finally {
    await on.close();
  }
});

test.run();
