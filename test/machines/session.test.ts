import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clientAddress, executionAddress, sessionAddress } from '../../machines/address.ts';
import { isTerminalEvent } from '../../machines/event.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { Caller } from '../../machines/message.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import { idempotencyKey } from '../../machines/session.ts';
import {
  HASH,
  OWNER,
  SESSION,
  STRANGER,
  TTL,
  body,
  capabilities,
  code,
  createSession,
  facts,
  names,
  newClient,
} from '../support/session.ts';

const test = suite('session');

test('opening it opens its first client, and the answer says what the client holds', () => {
  const { ring, register, state } = createSession();
  assert.is(state(), 'active');
  assert.equal(names(ring.events), ['session_opened', 'client_joined']);
  assert.equal(body(register(newClient('2', 'web', 'bob'))), {
    session_id: SESSION,
    client_id: 'cli_2',
    capabilities: capabilities('2', 'web', 'bob'),
  });
  assert.not.ok(JSON.stringify(ring.events).includes(HASH));
});

test('only the owner registers, closes and makes others leave; a client of the owner acts as the owner', () => {
  const { register, close, ask, context } = createSession();
  const bob: Caller = { principal: 'bob', client_id: 'cli_2' };
  assert.is(code(register(newClient('2', 'cli', 'bob'), { principal: 'ada', client_id: 'cli_1' })), 'ok');
  assert.is(code(register(newClient('3'), bob)), 'security_violation');
  assert.is(code(close(bob)), 'security_violation');
  assert.is(code(ask({ type: 'session.leave', caller: bob, client_id: 'cli_1' })), 'security_violation');
  assert.equal(body(ask({ type: 'session.leave', caller: bob, client_id: 'cli_2' })), {
    client_id: 'cli_2',
    status: 'left',
  });
  assert.is(code(ask({ type: 'session.leave', caller: OWNER, client_id: 'cli_2' })), 'not_found');
  assert.equal(Object.keys(context().clients), ['cli_1']);
});

test('who is not in it is not told of it, and who has left has no credentials', () => {
  const { execute, close, ask } = createSession();
  assert.is(code(execute({ caller: STRANGER })), 'not_found');
  assert.is(code(close(STRANGER)), 'not_found');
  assert.is(code(execute({ caller: { principal: 'eve', client_id: 'cli_1' } })), 'unauthenticated');
  ask({ type: 'session.leave', caller: OWNER, client_id: 'cli_1' });
  assert.is(code(execute({ caller: { principal: 'ada', client_id: 'cli_1' } })), 'unauthenticated');
});

test('a client’s own capabilities decide what it may run; the owner’s key runs under the root', () => {
  const { register, execute, ring } = createSession();
  register(newClient('2', 'web', 'ada'));
  const web: Caller = { principal: 'ada', client_id: 'cli_2' };
  const deep = facts({ operation: 'execute', name: 'deploy' });
  const refused = execute({ caller: web, command: deep });
  assert.ok(!refused.ok && refused.problem.reason === 'operation');
  const tool = execute({ caller: web, command: facts({ resource: 'mcp_tool', operation: 'execute', name: 'mcp' }) });
  assert.ok(!tool.ok && tool.problem.reason === 'resource_type');
  assert.is(code(execute({ caller: web })), 'ok');
  assert.is(code(execute({ command: deep, execution_id: 'exe_root' })), 'ok');
  const { context } = ring.actor(executionAddress(SESSION, 'exe_root'))?.standing() ?? {};
  assert.is((context as ExecutionContext).capability_id, 'cap_root');
});

test('the same key of the same principal is the same execution; another body is a conflict', () => {
  const { register, execute, context } = createSession();
  register(newClient('2', 'cli', 'bob'));
  const idempotency = { key: 'k\n"1', body_hash: 'h1' };
  const first = body(execute({ idempotency }));
  assert.equal(body(execute({ idempotency })), { execution_id: first.execution_id, replayed: true });
  assert.is(code(execute({ idempotency: { ...idempotency, body_hash: 'h2' } })), 'conflict');
  const bob: Caller = { principal: 'bob', client_id: 'cli_2' };
  assert.is.not(body(execute({ idempotency, caller: bob })).execution_id, first.execution_id);
  assert.is(context().counts.accepted, 2);
});

test('no two pairs of principal and key are remembered as one', () => {
  assert.is.not(idempotencyKey('a', 'b,c'), idempotencyKey('a,b', 'c'));
  const tricky = fc.oneof(fc.string(), fc.stringMatching(/^[",\]\n[ ]*$/));
  fc.assert(
    fc.property(tricky, tricky, tricky, tricky, (a, b, c, d) => {
      assert.is(idempotencyKey(a, b) === idempotencyKey(c, d), a === c && b === d);
    }),
  );
});

test('at most a hundred clients', () => {
  const { register, context, ask } = createSession();
  for (let n = 2; n <= SESSION_LIMITS.clients; n++) assert.is(code(register(newClient(String(n)))), 'ok');
  assert.is(code(register(newClient('x'))), 'conflict');
  ask({ type: 'session.leave', caller: OWNER, client_id: 'cli_7' });
  assert.is(code(register(newClient('x'))), 'ok');
  assert.is(Object.keys(context().clients).length, SESSION_LIMITS.clients);
});

test('at most a thousand queued; those that run or have ended do not count', () => {
  const { execute, agent, context } = createSession();
  for (let n = 1; n <= SESSION_LIMITS.queued; n++) execute({ execution_id: `exe_q${n}`, reserved: false });
  const full = execute({ reserved: false });
  assert.ok(!full.ok && full.problem.code === 'overloaded' && full.problem.retry_after === 1);
  assert.is(code(execute({ reserved: true })), 'ok', 'what need not queue is accepted');
  agent('exe_q1', { type: 'execution.start' });
  assert.is(context().counts.queued, SESSION_LIMITS.queued - 1);
  assert.is(code(execute({ reserved: false })), 'ok');
  assert.is(code(execute({ reserved: false })), 'overloaded');
});

test('cancelling is for writers and for who started it, and is answered by the execution', () => {
  const { register, execute, cancel, ring, context } = createSession();
  const reader = { ...newClient('2', 'web', 'bob') };
  register({ ...reader, capabilities: reader.capabilities.map((held) => ({ ...held, operations: ['read'] })) });
  const bob: Caller = { principal: 'bob', client_id: 'cli_2' };
  execute({ execution_id: 'exe_a' });
  execute({ execution_id: 'exe_b', caller: bob });
  assert.is(code(cancel('exe_a', bob)), 'security_violation');
  assert.equal(body(cancel('exe_b', bob)), { execution_id: 'exe_b', status: 'cancelled' });
  assert.equal(body(cancel('exe_a')), { execution_id: 'exe_a', status: 'cancelled' });
  assert.is(code(cancel('exe_a')), 'conflict');
  assert.equal(context().executions, []);
  assert.is(names(ring.events).filter(isTerminalEvent).length, 2);
});

test('closing cancels, tells, then cuts, in this order and in one turn', () => {
  const { register, execute, close, ring, state } = createSession();
  register(newClient('2'));
  execute();
  execute({ reserved: false });
  const from = ring.log.length;
  assert.equal(body(close()), { session_id: SESSION, status: 'draining' });
  const said = ring.log
    .slice(from)
    .flatMap(({ effect }) =>
      effect.type === 'event' ? [effect.event] : effect.type === 'cut' ? [`cut ${effect.client_id}`] : [],
    );
  assert.equal(said, ['execution_cancelled', 'execution_cancelled', 'session_closed', 'cut cli_1', 'cut cli_2']);
  assert.is(state(), 'closed');
  assert.ok(
    [...ring.actors.values()].every((actor) => actor.done()),
    'nothing of the session is left alive',
  );
  assert.is(code(close()), 'conflict');
});

test('an execution that will not end is waited for, but not for ever', () => {
  const { ask, execute, close, ring, state, register, lose } = createSession();
  execute({ execution_id: 'exe_stuck' });
  lose('exe_stuck');
  close();
  assert.is(state(), 'draining');
  assert.is(code(register(newClient('2'))), 'conflict');
  assert.is(code(execute()), 'conflict');
  assert.equal(body(close()), { session_id: SESSION, status: 'draining' });
  ask({ type: 'session.leave', caller: OWNER, client_id: 'cli_1' });
  ring.advance(SESSION_LIMITS.drain_ms - 1);
  assert.is(state(), 'draining');
  ring.tell(sessionAddress(SESSION), { type: 'deadline' });
  assert.is(state(), 'draining', 'never early');
  ring.now += 1;
  ring.tell(sessionAddress(SESSION), { type: 'deadline' });
  assert.is(state(), 'closed');
  assert.is(ring.events.at(-1)?.event, 'session_closed');
});

test('left alone it is suspended, whatever is asked wakes it, and in the end it expires', () => {
  const { ring, attach, detach, state, execute, agent } = createSession();
  attach('cli_1');
  ring.advance(SESSION_LIMITS.grace_ms * 10);
  assert.is(state(), 'active', 'somebody is attached');
  detach('cli_1');
  ring.advance(SESSION_LIMITS.grace_ms - 1);
  assert.is(state(), 'active');
  ring.advance(1);
  assert.is(state(), 'suspended');
  assert.is(code(execute({ caller: STRANGER })), 'not_found');
  assert.is(state(), 'suspended', 'a stranger wakes nobody');
  assert.equal(body(execute({ execution_id: 'exe_a' })), { execution_id: 'exe_a', status: 'pending' });
  assert.equal(names(ring.events).slice(-3), ['session_resumed', 'execution_queued', 'execution_started']);
  agent('exe_a', { type: 'execution.complete', start: 1, result: 1, artifacts: [] } as { type: string });
  ring.advance(SESSION_LIMITS.grace_ms);
  assert.is(state(), 'suspended');
  attach('cli_1');
  assert.is(state(), 'active');
  ring.advance(TTL - 1);
  assert.is(state(), 'active');
  ring.advance(1);
  assert.is(state(), 'expired');
  assert.is(ring.events.at(-1)?.event, 'session_expired');
  assert.equal(ring.cut, ['cli_1']);
});

test('a client that goes while the session is suspended does not put off its end', () => {
  const { ring, state, context } = createSession();
  ring.advance(SESSION_LIMITS.grace_ms);
  const { deadline } = context();
  ring.tell(clientAddress(SESSION, 'cli_1'), { type: 'client.leave' });
  assert.is(state(), 'suspended');
  assert.equal(context().clients, {});
  assert.is(context().deadline, deadline);
});

test.run();
