import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuditEntry } from '../../../machines/audit.ts';
import { problem, type ErrorCode, type Problem } from '../../../machines/error.ts';
import type { Event } from '../../../machines/event.ts';
import type { SessionId } from '../../../machines/id.ts';
import type { Envelope } from '../../../machines/message.ts';
import type { Of } from '../../../machines/session-effects.ts';
import type { CallSource } from '../../../src/gateway/call.ts';
import { createRefusals } from '../../../src/gateway/refusals.ts';
import { eventually, startGateway, type Json, type TestGateway } from '../../support/gateway.ts';

/** A refusal for want of authority leaves a trace (contract, section 6): in its session, or in the audit alone. */
const test = suite('the trace of a refusal');

const SESSION = 'ses_1' as SessionId;
const OTHER = 'ses_2' as SessionId;

const clientOf = (client_id: string, principal = 'share:shr_1'): CallSource['identity'] =>
  ({ kind: 'client', principal, client: { client_id, principal } }) as never;
const KEY: CallSource['identity'] = { kind: 'key', principal: 'ada', operator: false, key_id: 'ark_1' };

const bench = (windowMs?: number) => {
  const told: Envelope[] = [];
  const merged: [AuditEntry, string][] = [];
  const refusals = createRefusals({
    system: { tell: (envelope) => told.push(envelope) > 0, now: () => 7 },
    audit: { merge: (entry, key) => void merged.push([entry, key]) },
    ...(windowMs === undefined ? {} : { windowMs }),
  });
  const note = (
    identity: CallSource['identity'],
    what: Problem,
    session: SessionId | null = SESSION,
    operation = 'commands.execute',
    address = '::1',
  ): void => refusals.note({ identity, address }, operation, what, session);
  return { refusals, note, told, merged };
};

const violation = (reason?: string): Problem =>
  problem('security_violation', 'no', reason === undefined ? {} : { reason });
const messages = (told: readonly Envelope[]) =>
  told.map(({ to, message }) => {
    const { caller, reason, count, operation } = message as Of<'session.violated'>;
    return [to.session, caller.client_id ?? caller.principal, reason, count, operation];
  });

const clocked = suite('merging them');
clocked.before.each(() => mock.timers.enable({ apis: ['setTimeout'] }));
clocked.after.each(() => mock.timers.reset());

clocked('a 403 in one’s session is told to the session, at most once a second for each client and reason', () => {
  const { note, told, merged } = bench();
  for (let n = 0; n < 10; n += 1) {
    note(clientOf('cli_1'), violation('operation'), SESSION, n === 9 ? 'sessions.close' : 'commands.execute');
    note(clientOf('cli_1'), violation('owner'));
    note(clientOf('cli_2'), violation('operation'));
    note(clientOf('cli_1'), violation('operation'), OTHER);
    note(KEY, violation('operation'));
  }
  assert.equal(messages(told), [
    ['ses_1', 'cli_1', 'operation', 1, 'commands.execute'],
    ['ses_1', 'cli_1', 'owner', 1, 'commands.execute'],
    ['ses_1', 'cli_2', 'operation', 1, 'commands.execute'],
    ['ses_2', 'cli_1', 'operation', 1, 'commands.execute'],
    ['ses_1', 'ada', 'operation', 1, 'commands.execute'],
  ]);
  mock.timers.tick(999);
  assert.is(told.length, 5);
  mock.timers.tick(1);
  assert.equal(messages(told.slice(5)), [
    ['ses_1', 'cli_1', 'operation', 9, 'sessions.close'],
    ['ses_1', 'cli_1', 'owner', 9, 'commands.execute'],
    ['ses_1', 'cli_2', 'operation', 9, 'commands.execute'],
    ['ses_2', 'cli_1', 'operation', 9, 'commands.execute'],
    ['ses_1', 'ada', 'operation', 9, 'commands.execute'],
  ]);
  assert.equal(merged, [], 'the session records it');
  const { to, meta, message } = told[0] as Envelope;
  assert.equal(to, { session: SESSION, kind: 'session', id: SESSION });
  assert.equal(meta, { principal: 'share:shr_1', client_id: 'cli_1', correlation_id: null, traceparent: null });
  assert.is(message.type, 'session.violated');
});

clocked('a refusal without a reason goes by its code', () => {
  const { note, told } = bench();
  note(clientOf('cli_1'), violation());
  assert.equal(messages(told), [['ses_1', 'cli_1', 'security_violation', 1, 'commands.execute']]);
});

clocked('the same principal of two clients is two, and a name cannot be made to look like another’s', () => {
  const { note, told } = bench();
  note(clientOf('cli_1', 'a'), violation('owner'));
  note(clientOf('cli_2', 'a'), violation('owner'));
  note({ ...KEY, principal: '"],["' }, violation('owner'));
  note({ ...KEY, principal: 'a' }, violation('owner'));
  assert.is(told.length, 4);
});

clocked('closing tells what is counted, and nothing comes later', () => {
  const { note, told, refusals } = bench(100_000);
  for (let n = 0; n < 4; n += 1) note(clientOf('cli_1'), violation('owner'));
  refusals.close();
  assert.equal(
    messages(told).map(([, , , count]) => count),
    [1, 3],
  );
  note(clientOf('cli_1'), violation('owner'));
  mock.timers.tick(200_000);
  assert.is(told.length, 2);
});

clocked('out of sight it is in the audit alone: 403 by who it was, 404 by where it came from', () => {
  const { note, told, merged } = bench();
  note(KEY, violation('operator'), null, 'keys.list', '10.0.0.1');
  note(clientOf('cli_1'), violation('principal'), null, 'sessions.create');
  note(KEY, problem('not_found', 'there is no such session'), null, 'sessions.get', '10.0.0.2');
  note(clientOf('cli_1'), problem('unknown_command', 'there is no such command'), SESSION);
  assert.equal(told, []);
  assert.equal(merged, [
    [
      {
        type: 'access_refused',
        at: 7,
        session_id: null,
        principal: 'ada',
        client_id: null,
        data: { operation: 'keys.list', reason: 'operator', address: '10.0.0.1' },
      },
      '["ada",null,"operator"]',
    ],
    [
      {
        type: 'access_refused',
        at: 7,
        session_id: null,
        principal: 'share:shr_1',
        client_id: 'cli_1',
        data: { operation: 'sessions.create', reason: 'principal', address: '::1' },
      },
      '["share:shr_1","cli_1","principal"]',
    ],
    [
      {
        type: 'not_found',
        at: 7,
        session_id: null,
        principal: 'ada',
        client_id: null,
        data: { operation: 'sessions.get', reason: 'not_found', address: '10.0.0.2' },
      },
      '10.0.0.2',
    ],
    [
      {
        type: 'not_found',
        at: 7,
        session_id: null,
        principal: 'share:shr_1',
        client_id: 'cli_1',
        data: { operation: 'commands.execute', reason: 'unknown_command', address: '::1' },
      },
      '::1',
    ],
  ]);
});

clocked('what is no want of authority leaves no trace', () => {
  const { note, told, merged } = bench();
  const codes: ErrorCode[] = ['invalid_input', 'unauthenticated', 'conflict', 'rate_limited', 'overloaded', 'internal'];
  for (const code of codes) for (const session of [SESSION, null]) note(KEY, problem(code, 'no'), session);
  assert.equal([told.length, merged.length], [0, 0]);
});
clocked.run();

/** A session of `alice` with a guest that may only read. */
const withGuest = async (on: TestGateway): Promise<{ session: Json; guest: Json; path: string }> => {
  const session = await on.open();
  const path = `/v1/sessions/${session.session_id}`;
  const share = await on.call('POST', `${path}/shares`, { body: { constraints: { read_only: true } } });
  const joined = await on.call('POST', '/v1/join', {
    token: null,
    body: { token: share.body.token, client_type: 'web' },
  });
  return { session, guest: joined.body, path };
};

const violations = async (on: TestGateway, path: string): Promise<Event[]> =>
  (await on.call('GET', `${path}/events?types=security_violation`)).body.events;
const counted = (events: readonly Event[]): number =>
  events.reduce((sum, { data }) => sum + (data['count'] as number), 0);

test('every 403 of a guest is in the events and in the audit, with counts that add up', async () => {
  const on = await startGateway();
  try {
    const { guest, path } = await withGuest(on);
    const { client_token: token, client_id } = guest;
    const tries = 40;
    await Promise.all(
      Array.from({ length: tries }, () => on.call('POST', `${path}/commands`, { token, body: { command: 'work' } })),
    );
    await eventually('all are counted', async () => counted(await violations(on, path)) === tries);
    const events = await violations(on, path);
    assert.ok(events.length <= 4, `${events.length} events of one moment`);
    for (const { data, metadata } of events) {
      assert.equal([data['client_id'], data['reason']], [client_id, 'operation']);
      assert.is(metadata.severity, 'warning');
    }
    const records = on.system.audited().filter(({ type, session_id }) => type === 'access_refused' && session_id);
    assert.equal(
      records.map(({ data }) => data['count']),
      events.map(({ data }) => data['count']),
    );
  } finally {
    await on.close();
  }
});

test('401 and 404 leave nothing in the session, and closing the gateway loses no count', async () => {
  const on = await startGateway();
  const { guest, session, path } = await withGuest(on);
  const other = await on.open();
  const log = async () => (await on.call('GET', `${path}/events`)).body.events.length;
  const before = await log();
  const stranger = await on.keyOf('mallory');
  for (let n = 0; n < 7; n += 1) {
    await on.call('GET', path, { token: 'wrong' });
    await on.call('GET', path, { token: stranger });
    await on.call('GET', path, { token: other.client_token });
  }
  assert.is(await log(), before);
  const { client_token: token } = guest;
  for (let n = 0; n < 5; n += 1) await on.call('DELETE', path, { token });
  await on.close();
  const sum = (type: AuditEntry['type'], session_id: string | null) =>
    on.system
      .audited()
      .filter((each) => each.type === type && each.session_id === session_id)
      .reduce((all, { data }) => all + (data['count'] as number), 0);
  assert.is(sum('login_failed', null), 7);
  assert.is(sum('not_found', null), 14);
  // Told to the session's actor, which takes it a moment later.
  await eventually('the last count', () => sum('access_refused', session.session_id) === 5);
});

test.run();
