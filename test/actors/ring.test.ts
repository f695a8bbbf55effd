import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Ring } from '../../actors/ring.ts';
import { clientAddress, sessionAddress } from '../../machines/address.ts';
import type { AuditEntry } from '../../machines/audit.ts';
import type { Envelope } from '../../machines/message.ts';
import { SILENT } from '../../actors/observer.ts';
import { allRecords, auditEntry } from '../contract/journal-audit.ts';
import { counterAddress } from '../support/machines.ts';
import type { ClerkMessage } from './clerk.ts';
import {
  askCounter,
  eventsOf,
  instantAgents,
  openCounter,
  startRing,
  temporaryDirectory,
  until,
} from '../support/ring.ts';

const test = suite('ring');

const withRing = async (
  options: Parameters<typeof startRing>[1],
  run: (ring: Ring, directory: string) => Promise<void>,
): Promise<void> => {
  const { directory, remove } = await temporaryDirectory();
  const ring = await startRing(directory, options);
  try {
    await run(ring, directory);
  } finally {
    await ring.close(1_000);
    await remove();
  }
};
const code = (answer: Awaited<ReturnType<typeof askCounter>>): string => (answer.ok ? 'ok' : answer.problem.code);
const dense = (events: readonly { seq: number }[]): void =>
  assert.equal(
    events.map(({ seq }) => seq),
    events.map((_, index) => index + 1),
  );

test('answers after the commit, and a second ring on the same directory goes on where the first ended', async () => {
  const { directory, remove } = await temporaryDirectory();
  const first = await startRing(directory);
  const session = await openCounter(first);
  for (let n = 1; n <= 3; n++) {
    assert.equal(await askCounter(first, session, { type: 'count' }), { ok: true, body: { count: n } });
  }
  await first.close(1_000);
  const second = await startRing(directory);
  assert.equal(await askCounter(second, session, { type: 'count' }), { ok: true, body: { count: 4 } });
  const events = await eventsOf(second, session);
  dense(events);
  assert.is(events.length, 4);
  await second.close(1_000);
  await remove();
});

test('a repeated request is answered alike and taken once, over a restart too', async () => {
  const { directory, remove } = await temporaryDirectory();
  const request = (id: string) => ({ request: { id, repeat_key: 'rpc:1' } });
  const first = await startRing(directory);
  const session = await openCounter(first);
  const asked = await askCounter(first, session, { type: 'count' }, request('req_a'));
  assert.equal(await askCounter(first, session, { type: 'count' }, request('req_b')), asked);
  await first.close(1_000);
  const second = await startRing(directory);
  assert.equal(await askCounter(second, session, { type: 'count' }, request('req_c')), asked);
  assert.is((await eventsOf(second, session)).length, 1);
  await second.close(1_000);
  await remove();
});

test('an actor that throws is restarted from where it stood, and others of its turn do not notice', () =>
  withRing({}, async (ring) => {
    const session = await openCounter(ring);
    const answers = await Promise.all([
      askCounter(ring, session, { type: 'count' }),
      askCounter(ring, session, { type: 'throw' }),
      askCounter(ring, session, { type: 'count' }),
    ]);
    assert.equal(answers.map(code), ['ok', 'internal', 'ok']);
    assert.equal(answers[2], { ok: true, body: { count: 2 } });
    const events = await eventsOf(ring, session);
    dense(events);
    assert.equal(
      events.map(({ type }) => type),
      ['execution_output', 'actor_restarted', 'execution_output'],
    );
    assert.not(events.some(({ data }) => data.what === 'never seen'));
  }));

test('an actor that throws too often is given up; its neighbours go on', () =>
  withRing({ shard: { maxRestarts: 2, maxSeconds: 60 } }, async (ring) => {
    const session = await openCounter(ring);
    const neighbour = await openCounter(ring);
    const codes = [];
    for (let n = 0; n < 4; n++) codes.push(code(await askCounter(ring, session, { type: 'throw' })));
    assert.equal(codes, ['internal', 'internal', 'actor_failed', 'not_found']);
    const events = await eventsOf(ring, session);
    dense(events);
    assert.is(events.at(-1)?.type, 'actor_failed');
    assert.is(code(await askCounter(ring, neighbour, { type: 'count' })), 'ok');
  }));

test('an actor that sends itself messages without end has thrown', () =>
  withRing({ shard: { turnMessages: 50 } }, async (ring) => {
    const session = await openCounter(ring);
    assert.is(code(await askCounter(ring, session, { type: 'flood', self: counterAddress(session) })), 'internal');
    assert.is(code(await askCounter(ring, session, { type: 'count' })), 'ok');
  }));

for (const fault of ['exit', 'spin'] as const) {
  test(`a shard worker whose machine does "${fault}" is replaced, its sessions go on, the message is withdrawn`, async () => {
    const restarts: string[] = [];
    const observer = { ...SILENT, restarted: (what: string) => void restarts.push(what) };
    await withRing({ observer, supervisor: { heartbeatMs: 50, missed: 4 } }, async (ring) => {
      const session = await openCounter(ring);
      const other = await openCounter(ring);
      assert.is(code(await askCounter(ring, session, { type: 'count' })), 'ok');
      const poison = askCounter(ring, session, { type: fault });
      const later = [askCounter(ring, session, { type: 'count' }), askCounter(ring, other, { type: 'count' })];
      assert.is(code(await poison), 'actor_failed');
      assert.equal((await Promise.all(later)).map(code), ['ok', 'ok']);
      assert.equal(await later[0], { ok: true, body: { count: 2 } });
      assert.is(restarts.length, 2);
      await until('ready again', () => ring.readiness().ready);
      dense(await eventsOf(ring, session));
    });
  });
}

test('messages between shards arrive once and in order while workers die', () =>
  withRing({ workers: 2, supervisor: { heartbeatMs: 50, maxRestarts: 50 } }, async (ring) => {
    const [a, b] = [await openCounter(ring), ''];
    const c = await openCounter(ring, [a, b]);
    const killer = await openCounter(ring, [a, c]);
    const route = [counterAddress(a), counterAddress(c)];
    const hops = 301;
    const arrived = askCounter(ring, a, { type: 'pass', route, hops });
    for (let n = 0; n < 3; n++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      void askCounter(ring, killer, { type: 'exit' });
    }
    assert.is(code(await arrived), 'ok');
    const events = await Promise.all([eventsOf(ring, a), eventsOf(ring, c)]);
    for (const each of events) {
      dense(each);
      assert.equal(
        each.map(({ data }) => data.count),
        each.map((_, index) => index + 1),
      );
    }
    assert.is(events.flat().length, hops + 1);
  }));

test('a deadline survives a restart and is not early', async () => {
  const { directory, remove } = await temporaryDirectory();
  const first = await startRing(directory);
  const session = await openCounter(first);
  const armed = first.now();
  await askCounter(first, session, { type: 'arm', after_ms: 400 });
  await first.close(1_000);
  const second = await startRing(directory);
  let woken: readonly { data: Record<string, unknown> }[] = [];
  await until('the counter is woken', async () => {
    woken = (await eventsOf(second, session)).filter(({ data }) => data.what === 'woken');
    return woken.length > 0;
  });
  assert.is(woken.length, 1);
  assert.ok((woken[0]?.data.at as number) >= armed + 400);
  await second.close(1_000);
  await remove();
});

test('clients that were attached when the process ended are presumed so by the next', async () => {
  const { directory, remove } = await temporaryDirectory();
  const first = await startRing(directory);
  const session_id = first.newId('session');
  const client_id = first.newId('client');
  const client = { client_id, type: 'cli', name: null, principal: 'p', token_hash: '', capabilities: [] };
  const root_capability_id = first.newId('capability');
  const open = { type: 'session.open', session_id, owner: 'p', ttl_ms: 60_000, root_capability_id, client };
  assert.is(code(await first.ask({ to: sessionAddress(session_id), fresh: true, message: open })), 'ok');
  assert.is(
    code(await first.ask({ to: clientAddress(session_id, client_id), message: { type: 'client.attach' } })),
    'ok',
  );
  assert.equal(first.presumedAttached(), []);
  await first.close(1_000);
  const second = await startRing(directory);
  assert.equal(second.presumedAttached(), [{ session_id, client_id }]);
  assert.equal(second.presumedAttached(), [], 'they are handed over once');
  await second.close(1_000);
  await remove();
});

test('what does not start leaves nothing running', async () => {
  const { directory, remove } = await temporaryDirectory();
  const first = await startRing(directory);
  let closed = 0;
  const agents: NonNullable<Parameters<typeof startRing>[1]>['agents'] = (report) => ({
    ...instantAgents(report),
    close: async () => void (closed += 1),
  });
  const failed = (options: Parameters<typeof startRing>[1]) =>
    startRing(directory, { agents, ...options }).then(() => 'started', String);
  assert.match(await failed({}), 'in use');
  assert.is(closed, 1);
  await first.close(1_000);
  const supervisor = { maxRestarts: 1, maxSeconds: 1, startMs: 300 };
  assert.match(await failed({ supervisor, catalogue: 'data:text/javascript,for(;;);' }), 'not ready in time');
  assert.is(closed, 2);
  await remove();
});

test('closing twice, and closing while others ask, ends everything and answers everybody', async () => {
  const { directory, remove } = await temporaryDirectory();
  const ring = await startRing(directory);
  const session = await openCounter(ring);
  const asked = Array.from({ length: 50 }, () => askCounter(ring, session, { type: 'count' }));
  await Promise.all([ring.close(1_000), ring.close(1_000)]);
  await ring.close(1_000);
  for (const answer of await Promise.all(asked)) assert.ok(['ok', 'unavailable'].includes(code(answer)), code(answer));
  assert.is(code(await askCounter(ring, session, { type: 'count' })), 'unavailable');
  await remove();
});

test('sessions that sleep wake where they stood', () =>
  withRing({ shard: { residentSessions: 3 } }, async (ring) => {
    const sessions: string[] = [];
    for (let n = 0; n < 12; n++) sessions.push(await openCounter(ring));
    for (let round = 1; round <= 3; round++) {
      const answers = await Promise.all(sessions.map((session) => askCounter(ring, session, { type: 'count' })));
      for (const answer of answers) assert.equal(answer, { ok: true, body: { count: round } });
    }
  }));

test('a full inbox refuses before anything is accepted, and every call is answered', () =>
  withRing({ inboxPerShard: 5 }, async (ring) => {
    const session = await openCounter(ring);
    const answers = await Promise.all(Array.from({ length: 50 }, () => askCounter(ring, session, { type: 'count' })));
    const codes = answers.map(code);
    const accepted = codes.filter((each) => each === 'ok').length;
    assert.equal(new Set(codes), new Set(['ok', 'overloaded']));
    assert.is((await eventsOf(ring, session)).length, accepted);
  }));

test('a request to an actor that is not there or has ended is answered', () =>
  withRing({}, async (ring) => {
    assert.is(code(await askCounter(ring, ring.newId('session'), { type: 'count' })), 'not_found');
    const session = await openCounter(ring);
    assert.is(code(await askCounter(ring, session, { type: 'finish' })), 'ok');
    assert.is(code(await askCounter(ring, session, { type: 'count' })), 'not_found');
  }));

test('what a machine records is in the audit before anybody has its answer, and it is found by its aliases', () =>
  withRing({ catalogue: new URL('./clerk.ts', import.meta.url).href }, async (ring) => {
    const session = await openCounter(ring);
    const tell = (message: ClerkMessage, envelope: Pick<Envelope, 'meta'> = {}) =>
      ring.ask({ to: counterAddress(session), message, ...envelope });
    const meta = { principal: 'alice', client_id: null, correlation_id: null, traceparent: null };
    for (let n = 1; n <= 5; n++) {
      assert.is(code(await tell({ type: 'record', what: `${n}` }, { meta })), 'ok');
      const { text } = (await allRecords(ring))[n - 1] as { text: string };
      const { at, ...entry } = JSON.parse(text) as AuditEntry;
      const expected = { type: 'command_accepted', session_id: session, principal: 'alice', client_id: null };
      assert.equal(entry, { ...expected, data: { what: `${n}` } });
      assert.ok(Math.abs(at - ring.now()) < 20_000);
    }
    assert.is((await ring.reads.verifyAudit()).valid, true);
    assert.is(await ring.reads.alias('x'), null);
    assert.is(code(await tell({ type: 'name', what: 'x' })), 'ok');
    assert.is((await ring.reads.alias('x'))?.session, session);
  }));

test('notes are in the audit when they resolve, also while turns are committed, and a second ring goes on from them', async () => {
  const { directory, remove } = await temporaryDirectory();
  const first = await startRing(directory);
  const session = await openCounter(first);
  const counted = Array.from({ length: 20 }, () => askCounter(first, session, { type: 'count' }));
  await Promise.all([1, 2, 3].map((n) => first.note([auditEntry(n)])));
  assert.is((await allRecords(first)).length, 3);
  await Promise.all(counted);
  const { head } = await first.reads.verifyAudit();
  await first.close(1_000);
  const second = await startRing(directory);
  await second.note([auditEntry(4)]);
  const [n, mac] = head.split(':') as [string, string];
  const verdict = await second.reads.verifyAudit({ n: Number(n), mac });
  assert.equal([verdict.valid, verdict.records], [true, 4]);
  await second.close(1_000);
  await remove();
});

test.run();
