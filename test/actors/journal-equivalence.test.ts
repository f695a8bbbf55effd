import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Journal, TurnText } from '../../actors/journal.ts';
import { createMemoryJournal } from '../../actors/journal-memory.ts';
import { createMemoryDisk } from '../../actors/memory-disk.ts';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import { allRecords, auditEntry } from '../contract/journal-audit.ts';
import { pruneAll } from '../contract/journal-prune.ts';
import {
  type ActorPart,
  allEvents,
  applyAll,
  executionId,
  executionKey,
  sessionId,
  sessionKey,
  turnText,
} from '../contract/journal-turns.ts';

const SHARDS = [0, 1, 2];
/** Two sessions a shard. */
const sessionsOf = (shard: number): number[] => [shard, shard + SHARDS.length];
const SESSIONS = SHARDS.flatMap(sessionsOf);
const TYPES = ['execution_queued', 'execution_started', 'execution_failed'];
const LABELS = ['alice', 'bob'];
const ALIASES = ['a', 'b', 'c'];

const actorSpec = fc.record({
  number: fc.nat(3),
  own: fc.boolean(),
  done: fc.boolean(),
  deadline: fc.option(fc.nat(5), { nil: undefined }),
  waits: fc.option(fc.constantFrom('run', 'place'), { nil: undefined }),
  label: fc.option(fc.constantFrom(...LABELS), { nil: undefined }),
  aliases: fc.option(fc.uniqueArray(fc.constantFrom(...ALIASES), { minLength: 1, maxLength: 2 }), { nil: undefined }),
  context: fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }),
});

const turnSpec = fc.record({
  shard: fc.constantFrom(...SHARDS),
  fault: fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, fc.constantFrom('stale', 'ahead', 'again')),
  session: fc.nat(1),
  actors: fc.array(actorSpec, { maxLength: 3 }),
  events: fc.array(fc.tuple(fc.constantFrom(...TYPES), fc.string()), { maxLength: 3 }),
  out: fc.array(fc.constantFrom(...SHARDS), { maxLength: 3 }),
  read: fc.dictionary(fc.constantFrom(...SHARDS.map(String)), fc.nat(4), { maxKeys: 2 }),
  remembered: fc.array(fc.constantFrom('a', 'b\n', 'c'), { maxLength: 2 }),
  audit: fc.option(fc.array(fc.string(), { minLength: 1, maxLength: 2 }), { nil: undefined }),
});
type TurnSpec = typeof turnSpec extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      turns: fc.array(turnSpec, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('apply' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('claim' as const), shard: fc.constantFrom(...SHARDS) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('look' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('note' as const), count: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('key' as const), id: fc.constantFrom('k', 'l') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('prune' as const), audit: fc.boolean() }) },
);

/** What shards know of themselves, enough to write turns that are dense in every number. */
interface World {
  readonly epoch: Map<number, number>;
  readonly turn: Map<number, number>;
  readonly numbers: Map<string, number>;
}

const bump = (numbers: Map<string, number>, name: string): number => {
  const next = (numbers.get(name) ?? 0) + 1;
  numbers.set(name, next);
  return next;
};

const turnOf = (world: World, spec: TurnSpec): TurnText => {
  const { shard, fault } = spec;
  const number = sessionsOf(shard)[spec.session] as number;
  const session = sessionId(number);
  const epoch = (world.epoch.get(shard) ?? 0) - (fault === 'stale' ? 1 : 0);
  const turn = (world.turn.get(shard) ?? 0) + (fault === 'ahead' ? 2 : fault === 'again' ? 0 : 1);
  const numbers = fault === null ? world.numbers : new Map(world.numbers);
  if (fault === null) world.turn.set(shard, turn);
  const actors = spec.actors.map(({ number: n, own, deadline, waits, label, aliases, ...rest }): ActorPart => {
    const key = own ? sessionKey(number) : executionKey(number, number * 10 + n);
    return {
      key,
      state: `turn ${turn}`,
      ...rest,
      ...(deadline === undefined ? {} : { deadline }),
      ...(waits === undefined ? {} : { waits }),
      ...(label === undefined ? {} : { label }),
      ...(aliases === undefined ? {} : { aliases }),
    };
  });
  // One snapshot an actor and turn, as a turn has it.
  const unique = new Map(actors.map((actor) => [actor.key, actor]));
  return turnText(shard, epoch, turn, {
    read: spec.read,
    actors: [...unique.values()],
    events: spec.events.map(([type, text]) => [session, bump(numbers, session), type, text] as const),
    out: spec.out.map((to) => [to, bump(numbers, `${shard} ${to}`), sessionKey(to)] as const),
    remembered: spec.remembered.map((key) => [session, key, `"${turn}"`] as const),
    ...(spec.audit === undefined ? {} : { audit: spec.audit }),
  });
};

/** Everything that can be read. */
const look = async (journal: Journal): Promise<unknown> => {
  const seen: unknown[] = [];
  for (const number of SESSIONS) {
    const session = sessionId(number);
    const loaded = await journal.load(session);
    seen.push({ ...loaded, actors: loaded.actors.toSorted((a, b) => (a.key < b.key ? -1 : 1)) });
    seen.push(await allEvents(journal, session, { limit: 2 }));
    seen.push(await allEvents(journal, session, { limit: 3, types: [TYPES[1] as string] }));
    const { next: _, ...page } = await journal.reads.events(session, { after: 1, limit: 100 });
    seen.push(page);
    seen.push(await journal.reads.actor(sessionKey(number)));
    const first = await journal.reads.actors(session, 'execution', { limit: 2 });
    seen.push(first, await journal.reads.actors(session, 'execution', { limit: 2, after: first.at(-1)?.id ?? '' }));
    seen.push(await journal.reads.find('execution', executionId(number * 10)));
  }
  for (const label of LABELS) {
    seen.push(await journal.reads.labelled('session', label, { limit: 2 }));
    seen.push(await journal.reads.labelled('session', label, { limit: 9, after: sessionId(1) }));
    seen.push(await journal.reads.labelled('execution', label, { limit: 100 }));
  }
  for (const alias of ALIASES) seen.push(await journal.reads.alias(alias));
  // Each chain has a key of its own.
  seen.push((await allRecords(journal, 2)).map(({ n, text }) => [n, text]));
  const { valid, records, first } = await journal.reads.verifyAudit();
  seen.push([valid, records, first], await journal.keys.list());
  for (const shard of SHARDS) {
    const page = await journal.deadlines(shard, { after: ['', -1], until: 4, limit: 2 });
    const after = page.at(-1) ?? ['', 1];
    seen.push(page, await journal.deadlines(shard, { after, until: 5, limit: 9 }));
  }
  for (const from of SHARDS) for (const to of SHARDS) seen.push(await journal.outbox(from, to, 1, 3));
  return seen;
};

/** After everything that happens here. */
const LATER = 9_000_000_000_000;

const KEY = { principal: 'op', operator: true, hash: 'ff', created_at: 1, revoked_at: null };

const test = suite('journals compared');

test('SQLite and memory answer alike to any series of turns, with applies and restarts in between', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const directory = mkdtempSync(path.join(tmpdir(), 'arbor-journal-'));
      const disk = createMemoryDisk();
      let memory = createMemoryJournal({ disk });
      let sqlite = await createSqliteJournal({ directory });
      const world: World = { epoch: new Map(), turn: new Map(), numbers: new Map() };
      const claim = async (shards: readonly number[]): Promise<void> => {
        const claims = await sqlite.claim(shards);
        assert.equal(claims, await memory.claim(shards));
        for (const { shard, epoch, turn } of claims) {
          world.epoch.set(shard, epoch);
          assert.is(turn, world.turn.get(shard) ?? 0);
        }
      };
      try {
        await claim(SHARDS);
        for (const next of steps) {
          if (next.type === 'claim') await claim([next.shard]);
          else if (next.type === 'apply') await sqlite.apply();
          else if (next.type === 'note' || next.type === 'key') {
            for (const journal of [sqlite, memory]) {
              if (next.type === 'note') await journal.note(Array.from({ length: next.count }, (_, n) => auditEntry(n)));
              else await journal.keys.put({ ...KEY, id: next.id }, auditEntry(1, 'key_created'));
            }
          } else if (next.type === 'prune') {
            // SQLite drops what is in its tables, and packs of events as a whole.
            await applyAll(sqlite);
            const limits = { before: LATER, auditBefore: next.audit ? LATER : 0 };
            const { calls: _, ...pruned } = await pruneAll(sqlite, limits);
            const { calls: __, ...expected } = await pruneAll(memory, limits);
            assert.equal(pruned, expected);
            for (const number of SESSIONS)
              world.numbers.set(sessionId(number), (await sqlite.load(sessionId(number))).seq);
          } else if (next.type === 'look') assert.equal(await look(sqlite), await look(memory));
          else if (next.type === 'commit') {
            const turns = next.turns.map((spec) => turnOf(world, spec));
            assert.equal(await sqlite.commit(turns), await memory.commit(turns));
          } else {
            await sqlite.close();
            await memory.close();
            sqlite = await createSqliteJournal({ directory });
            memory = createMemoryJournal({ disk });
          }
        }
        assert.equal(await look(sqlite), await look(memory));
        await claim(SHARDS);
      } finally {
        await sqlite.close();
        rmSync(directory, { recursive: true, force: true });
      }
    }),
    { numRuns: 60 },
  );
});

test.run();
