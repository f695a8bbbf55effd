import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clientAddress } from '../../machines/address.ts';
import type { Capability } from '../../machines/capability.ts';
import type { ClientContext } from '../../machines/client.ts';
import { timestamp } from '../../machines/event.ts';
import type { ClientId } from '../../machines/id.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import { SESSION, body, code, createSession, facts, names, newMember, reason } from '../support/session.ts';
import type { TestSession } from '../support/session.ts';

const test = suite('session: joining');

const heldBy = ({ ring }: TestSession, id: ClientId) =>
  ring.actor(clientAddress(SESSION, id))?.standing().context as ClientContext;

test('who joins holds the share’s capability and nothing else, by its token under its principal or their own', () => {
  const one = createSession();
  const { capability } = body(one.share({ id: 'a' })) as unknown as { capability: Capability };
  const answer = body(one.join('shr_a', 'x'));
  assert.equal(answer, { session_id: SESSION, client_id: 'cli_x', capabilities: [capability] });
  one.join('shr_a', 'y', { principal: 'bob', type: 'cli' });
  for (const id of ['cli_x', 'cli_y'] as const) {
    assert.equal(one.context().clients[id]?.capabilities, [capability]);
    assert.equal(heldBy(one, id).capabilities, [capability]);
    assert.is(heldBy(one, id).via_share, 'shr_a');
  }
  assert.is(heldBy(one, 'cli_1').via_share, null);
  assert.equal([heldBy(one, 'cli_x').principal, heldBy(one, 'cli_y').principal], ['share:shr_a', 'bob']);
  const { data } = one.ring.events.find(({ subject }) => subject === 'cli_y') ?? {};
  assert.equal(data, { client_id: 'cli_y', type: 'cli', name: null, principal: 'bob', via_share: 'shr_a' });
});

test('capabilities that a joining client brings along are worth nothing', () => {
  const one = createSession();
  one.share({ id: 'a', operations: ['read'] });
  const client = { ...newMember('x', 'bob', { id: 'cap_root' }), via_share: 'shr_other' as const };
  one.ask({ type: 'session.join', share_id: 'shr_a', client });
  assert.equal(
    heldBy(one, 'cli_x').capabilities.map(({ id }) => id),
    ['cap_a'],
  );
  assert.is(heldBy(one, 'cli_x').via_share, 'shr_a');
  assert.is(reason(one.execute({ caller: one.as('cli_x'), command: facts({ operation: 'write' }) })), 'operation');
});

test('at most a hundred clients, by whatever way; who is there already does not come again', () => {
  const one = createSession();
  one.share({ id: 'a' });
  for (let n = 2; n <= SESSION_LIMITS.clients; n += 1) body(one.join('shr_a', String(n)));
  assert.is(code(one.join('shr_a', 'x')), 'conflict');
  one.leave('cli_7');
  assert.is(code(one.join('shr_a', '8')), 'conflict');
  body(one.join('shr_a', 'x'));
  assert.is(code(one.register(newMember('y', 'bob'))), 'conflict');
});

test('a share that is over, not begun or unheard of lets nobody in, and wakes nobody', () => {
  const one = createSession();
  const at = (ms: number) => timestamp(one.ring.now + ms);
  one.share({ id: 'a' });
  one.share({ id: 'b', constraints: { expires_at: at(50) } });
  one.share({ id: 'c', constraints: { not_before: at(50) } });
  one.unshare('shr_a');
  const tried = () => (['shr_a', 'shr_b', 'shr_c', 'shr_d'] as const).map((id, n) => code(one.join(id, `${id}${n}`)));
  const [closed, open] = ['unauthenticated', 'ok'];
  assert.equal(tried(), [closed, open, closed, closed]);
  // As where the deadline has come but has not been taken yet.
  one.ring.now += 50;
  assert.equal(tried().toSpliced(2, 1), [closed, closed, closed]);
  const idle = createSession();
  idle.share({ id: 'a' });
  idle.unshare('shr_a');
  idle.ring.advance(SESSION_LIMITS.grace_ms);
  const before = idle.context();
  assert.is(code(idle.join('shr_a', 'x')), closed);
  assert.is(idle.state(), 'suspended');
  assert.equal(idle.context(), before, 'nothing of the session moves');
});

test('joining, sharing and revoking wake a suspended session, and are done as ever', () => {
  const ways: [string, (one: TestSession) => unknown][] = [
    ['client_joined', ({ join }) => body(join('shr_a', 'x'))],
    ['share_created', ({ share }) => body(share())],
    ['capability_revoked', ({ unshare }) => body(unshare('shr_a'))],
    ['capability_revoked', ({ revoke }) => body(revoke('cap_a'))],
  ];
  for (const [event, ask] of ways) {
    const one = createSession();
    one.share({ id: 'a' });
    one.ring.advance(SESSION_LIMITS.grace_ms);
    assert.is(one.state(), 'suspended');
    const from = one.ring.events.length;
    ask(one);
    assert.is(one.state(), 'active');
    assert.equal(names(one.ring.events).slice(from, from + 2), ['session_resumed', event]);
  }
});

test('a session that drains or is over lets nobody in and shares no more', () => {
  const one = createSession();
  one.share({ id: 'a' });
  one.execute({ execution_id: 'exe_stuck', timeout_ms: 2 * SESSION_LIMITS.drain_ms });
  one.lose('exe_stuck');
  one.close();
  assert.is(one.state(), 'draining');
  const refused = () => [one.join('shr_a', 'y'), one.share(), one.unshare('shr_a'), one.revoke('cap_a')].map(code);
  assert.equal(refused(), ['conflict', 'conflict', 'conflict', 'conflict']);
  one.ring.advance(SESSION_LIMITS.drain_ms);
  assert.is(one.state(), 'closed');
  assert.equal(refused(), ['conflict', 'conflict', 'conflict', 'conflict']);
});

test.run();
