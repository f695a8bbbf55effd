import { suite } from 'uvu';
import { assign, createMachine, emit } from 'xstate';
import * as assert from 'uvu/assert';
import { createIdentifiers } from '../../actors/identifiers.ts';
import { createJournalLoop } from '../../actors/journal-loop.ts';
import { createMemoryJournal } from '../../actors/journal-memory.ts';
import type { TurnText } from '../../actors/journal.ts';
import type { JournalInput } from '../../actors/journal-messages.ts';
import { shardOf } from '../../actors/placement.ts';
import { createShardHost } from '../../actors/shard-host.ts';
import { SHARD_LIMITS, type Input, type ShardLimits } from '../../actors/shard-messages.ts';
import { addressKey } from '../../machines/address.ts';
import type { Catalogue } from '../../machines/catalogue.ts';
import type { Answer } from '../../machines/effect.ts';
import type { Envelope } from '../../machines/message.ts';
import { decodeTurns, encodeTurn } from '../../actors/turn-record.ts';
import { allRecords } from '../contract/journal-audit.ts';
import { catalogue as clerks, type ClerkMessage } from './clerk.ts';
import { catalogue, counterAddress, type CounterMessage } from '../support/machines.ts';

const test = suite('shard host');

const SHARD = 7;
const newId = createIdentifiers(Date.now);
const sessionOfShard = (): string => {
  for (;;) {
    const id = newId('session');
    if (shardOf(id) === SHARD) return id;
  }
};

/** One shard over a journal in memory; `settle` lets both work until nothing is left. */
const start = async (limits: Partial<ShardLimits> = {}, machines: Catalogue = catalogue) => {
  const answers = new Map<string, Answer>();
  const marks: (readonly [shard: number, n: number])[] = [];
  const markedAt: (readonly [shard: number, n: number])[] = [];
  const toJournal: JournalInput[] = [];
  const turns: TurnText[] = [];
  const loads: string[] = [];
  let now = 1_000;
  const journal = createMemoryJournal();
  const loop = createJournalLoop({
    journal,
    stopwatch: () => 0,
    later: () => {},
    notify: (notice) => {
      if (notice.type !== 'released') return;
      for (const { replies } of notice.releases) for (const [request, answer] of replies) answers.set(request, answer);
    },
  });
  const host = createShardHost({
    catalogue: machines,
    limits: { ...SHARD_LIMITS, ...limits },
    clock: () => now,
    stopwatch: () => 0,
    sources: {
      random: () => {
        markedAt.push(marks.at(-1) ?? [-1, 0]);
        return 0.5;
      },
      newEventId: () => newId('event'),
      newDeliveryId: () => newId('delivery'),
    },
    toJournal: (input) => {
      toJournal.push(input);
      if (input.type === 'turn') turns.push(input.turn);
      if (input.type === 'load') loads.push(input.session);
    },
    toMain: () => {},
    wakeAt: () => {},
    retry: () => {},
    taking: (shard, n) => void marks.push([shard, n]),
  });
  const settle = async (): Promise<void> => {
    host.run();
    while (toJournal.length > 0) {
      for (const input of toJournal.splice(0)) loop.take(input, host.journal);
      loop.wake();
      await new Promise((resolve) => setImmediate(resolve));
      host.run();
    }
  };
  const sent = new Map<string, number>();
  const input = (session: string, message: CounterMessage, sender = 'main', more: Partial<Envelope> = {}): Input => {
    const n = (sent.get(sender) ?? 0) + 1;
    sent.set(sender, n);
    const to = counterAddress(session);
    const envelope = { to, message, request: { id: `${sender} ${n}` }, ...more };
    return [SHARD, 1, sender, n, addressKey(to), JSON.stringify(envelope)];
  };
  host.own([SHARD]);
  await settle();
  const answer = (id: string): unknown => {
    const given = answers.get(id);
    return given?.ok === true ? given.body : given?.problem.code;
  };
  return { host, settle, input, answer, markedAt, journal, turns, loads, advance: (ms: number) => void (now += ms) };
};
/** Opens a counter in a session that exists already or is not kept by its own machine. */
const OPEN = { type: 'open' } as const;

test('a claim that is granted while an epoch is open ends it: what was decided in it is forgotten', async () => {
  const { host, settle, input, answer, journal } = await start();
  const session = sessionOfShard();
  host.inputs([input(session, OPEN, 'main', { fresh: true }), input(session, { type: 'count' })]);
  await settle();
  assert.equal(answer('main 2'), { count: 1 });
  // Decided, and not yet with the journal when it serves a claim that was under way.
  const late = input(session, { type: 'count' });
  host.inputs([late]);
  host.run();
  host.journal({ type: 'claimed', claims: await journal.claim([SHARD]) });
  const [shard, , ...rest] = late;
  host.inputs([[shard, 2, ...rest] as Input]);
  await settle();
  assert.equal(answer('main 3'), { count: 2 });
});

test('a session that is opened, spoken to and put to sleep at once wakes where it stood', async () => {
  const { host, settle, input, answer, journal } = await start({ residentSessions: 1 });
  const [a, b] = [sessionOfShard(), sessionOfShard()];
  // A session's own actor is what `fresh` opens without a look at the journal; counters stand in for its others.
  const own = (session: string): Envelope => ({
    to: { session, kind: 'session', id: session } as Envelope['to'],
    message: { type: 'nonsense' },
    fresh: true,
  });
  host.inputs([
    input(a, OPEN, 'main', own(a)),
    input(a, OPEN, 'main', { fresh: true }),
    input(a, { type: 'count' }),
    input(b, OPEN, 'main', own(b)),
    input(b, OPEN, 'main', { fresh: true }),
  ]);
  await settle();
  assert.equal(answer('main 3'), { count: 1 });
  host.inputs([input(a, { type: 'count' })]);
  await settle();
  assert.equal(answer('main 6'), { count: 2 });
  assert.is((await journal.reads.events(a as never, { after: 0, limit: 10 })).events.length, 2);
});

test('a message to a session of the same shard that sleeps finds it where it stood', async () => {
  for (const residentSessions of [1, 2, 10]) {
    const { host, settle, input, answer, journal } = await start({ residentSessions });
    const sessions = [sessionOfShard(), sessionOfShard(), sessionOfShard(), sessionOfShard()];
    for (const session of sessions) {
      host.inputs([input(session, OPEN, 'main', { fresh: true }), input(session, { type: 'count' })]);
      await settle();
    }
    const route = sessions.map((session) => counterAddress(session));
    host.inputs([
      input(sessions[0] as string, { type: 'pass', route, hops: 7 }),
      input(sessions[1] as string, { type: 'count' }),
    ]);
    await settle();
    assert.equal(answer('main 9'), { arrived: true });
    assert.equal(answer('main 10'), { count: 4 });
    for (const session of sessions) {
      const { events } = await journal.reads.events(session as never, { after: 0, limit: 10 });
      assert.equal(
        events.map((json) => (JSON.parse(json) as { data: { count: number } }).data.count),
        events.map((_, index) => index + 1),
      );
    }
  }
});

test('who finds the thread dead is told of the input of the main thread, and of nothing else', async () => {
  const { host, settle, input, markedAt, advance } = await start();
  const session = sessionOfShard();
  host.inputs([input(session, OPEN, 'main', { fresh: true }), input(session, { type: 'arm', after_ms: 100 })]);
  await settle();
  assert.equal(markedAt.splice(0), [
    [SHARD, 1],
    [SHARD, 2],
  ]);
  host.inputs([input(session, { type: 'count' }, '3')]);
  await settle();
  assert.equal(
    markedAt.splice(0).map(([shard]) => shard),
    [-1],
    'a message of another shard',
  );
  advance(100);
  host.inputs([input(session, { type: 'count' })]);
  await settle();
  assert.equal(
    markedAt.splice(0).map(([shard, n]) => [shard, shard < 0 ? 0 : n]),
    [
      [-1, 0],
      [SHARD, 3],
    ],
    'a deadline',
  );
});

test('deadlines that came while their sessions slept are taken few at a time, and hold up nobody', async () => {
  const { host, settle, input, answer, journal, advance, loads, turns } = await start({
    turnInputs: 8,
    residentSessions: 2,
    deadlineWindow: 5,
  });
  const sessions = Array.from({ length: 40 }, sessionOfShard);
  for (const session of sessions) {
    host.inputs([input(session, OPEN, 'main', { fresh: true }), input(session, { type: 'arm', after_ms: 500_000 })]);
    await settle();
  }
  const [awake] = sessions.slice(-1) as [string];
  advance(800_000);
  loads.splice(0);
  host.run();
  assert.ok(loads.length > 0);
  const decided = turns.length;
  host.inputs([input(awake, { type: 'count' })]);
  host.run();
  assert.is(turns.length, decided + 1, 'who is awake is answered while others are woken');
  assert.ok(loads.length <= 4, `${loads.length} sessions are asked for at once`);
  await settle();
  assert.ok(answer('main 81') !== undefined);
  for (const session of sessions) {
    const { events } = await journal.reads.events(session as never, { after: 0, limit: 10 });
    const told = events.map((json) => (JSON.parse(json) as { data: { what: string } }).data.what);
    assert.equal(
      told.filter((what) => what === 'woken'),
      ['woken'],
    );
  }
});

test('an actor whose stored state its machine does not know is given up; its neighbours go on', async () => {
  const { host, settle, input, answer, journal, advance } = await start();
  const [a, b] = [sessionOfShard(), sessionOfShard()];
  const context = { deadline: 1_100, waits: null, label: null, count: 3 };
  const key = addressKey(counterAddress(a));
  const [claim] = await journal.claim([SHARD]);
  const epoch = claim?.epoch as number;
  const head = { shard: SHARD, epoch, turn: 1, at: 1_000, read: {}, events: [], out: [], remembered: [] };
  const text = encodeTurn({
    head: { ...head, snapshots: [[key, 1, 'of another release', 0, 1_100, null, null]] },
    contexts: [JSON.stringify(context)],
    events: [],
    out: [],
    remembered: [],
  });
  await journal.commit([{ shard: SHARD, epoch, turn: 1, text }]);
  host.own([SHARD]);
  await settle();
  const from = (each: Input): Input => [SHARD, epoch + 1, each[2], each[3], each[4], each[5]];
  host.inputs([input(a, { type: 'count' }), input(b, OPEN, 'main', { fresh: true })].map(from));
  await settle();
  assert.is(answer('main 1'), 'internal');
  assert.equal(answer('main 2'), { count: 0 });
  for (let second = 0; second < 5; second++) {
    advance(1_000);
    await settle();
  }
  const { events } = await journal.reads.events(a as never, { after: 0, limit: 10 });
  assert.equal(
    events.map((json) => (JSON.parse(json) as { type: string }).type),
    ['actor_restarted', 'actor_restarted', 'actor_restarted', 'actor_failed'],
  );
});

test('a deadline that only sends is recorded: what it sent has a number', async () => {
  let other = newId('session');
  while (shardOf(other) === SHARD) other = newId('session');
  const send = { type: 'send', to: counterAddress(other), message: { type: 'count' } };
  const bell = createMachine({
    context: { deadline: null, waits: null, label: null } as { deadline: number | null },
    on: {
      open: { actions: assign({ deadline: 1_100 }) },
      deadline: { actions: emit(send as never) },
    },
  });
  const { host, settle, input, journal, advance } = await start({}, {
    counter: { machine: bell, version: 1, openedBy: 'open' },
  } as unknown as Catalogue);
  host.inputs([input(sessionOfShard(), OPEN, 'main', { fresh: true })]);
  await settle();
  advance(100);
  await settle();
  assert.equal(
    (await journal.outbox(SHARD, shardOf(other), 0, 10)).map(({ n }) => n),
    [1],
  );
});

/** A shard with one clerk, which is open; `say` queues a message for it. */
const withClerk = async () => {
  const started = await start({}, clerks);
  const session = sessionOfShard();
  const say = (type: ClerkMessage['type'], what: string, more: Partial<Envelope> = {}): void =>
    started.host.inputs([started.input(session, { type, what } satisfies ClerkMessage as never, 'main', more)]);
  started.host.inputs([started.input(session, OPEN, 'main', { fresh: true })]);
  await started.settle();
  return { ...started, session, say };
};

test('what a machine records is in the audit with its turn; what is undone with a turn is not', async () => {
  const { settle, session, say, journal, turns, answer } = await withClerk();
  const meta = { principal: 'alice', client_id: 'cli_1', correlation_id: null, traceparent: null } as const;
  say('record', 'a', { meta });
  say('spoil', 'b', { meta });
  say('record', 'c');
  await settle();
  assert.is(answer('main 3'), 'internal');
  const common = { type: 'command_accepted', at: 1_000, session_id: session };
  const expected = [
    { ...common, principal: 'alice', client_id: 'cli_1', data: { what: 'a' } },
    { ...common, principal: null, client_id: null, data: { what: 'c' } },
  ];
  const records = await allRecords(journal);
  assert.equal(
    records.map(({ text }) => JSON.parse(text)),
    expected,
  );
  assert.is(turns.length, 2, 'the opening, and the rest in one');
  assert.not.ok('audit' in (turns[0] as TurnText), 'a turn that records nothing carries nothing');
  assert.equal(
    turns[1]?.audit,
    records.map(({ text }) => text),
  );
});

test('a deadline that only records is recorded', async () => {
  const { settle, journal, advance } = await withClerk();
  advance(60_000);
  await settle();
  assert.equal(
    (await allRecords(journal)).map(({ text }) => (JSON.parse(text) as { data: unknown }).data),
    [{ what: 'deadline' }],
  );
});

test('an actor is found by the aliases that its entry gives it', async () => {
  const { settle, session, say, journal, turns } = await withClerk();
  for (const name of ['x', 'y']) {
    say('name', name);
    await settle();
  }
  const found = await Promise.all(['x', 'y', 'z'].map((name) => journal.reads.alias(name)));
  const key = addressKey(counterAddress(session));
  assert.equal(
    found.map((actor) => actor?.key ?? null),
    [key, key, null],
  );
  const given = turns.map(({ text }) => decodeTurns(text)[0]?.head.snapshots[0]?.slice(7));
  assert.equal(given, [[], [['x']], [['y']]], 'an actor without aliases has none in its snapshot');
});

test.run();
