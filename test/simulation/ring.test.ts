// limit: 300 s
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { shardOf } from '../../actors/placement.ts';
import { addressKey } from '../../machines/address.ts';
import { createIdentifiers } from '../../actors/identifiers.ts';
import type { Envelope } from '../../machines/message.ts';
import { counterAddress, type CounterMessage } from '../support/machines.ts';
import { createWorld } from './world.ts';

const test = suite('the ring under faults');
const RUNS = Number(process.env.ARBOR_SIMULATIONS ?? 300);
const SESSIONS = 4;
const WORKERS = 2;
/** Counters of each session that are there for their deadlines. */
const BELLS = ['bell 1', 'bell 2', 'bell 3'];

type Action =
  | { readonly type: 'count' | 'throw' | 'pass'; readonly session: number }
  | { readonly type: 'arm'; readonly session: number; readonly after_ms: number }
  | { readonly type: 'birth' }
  | { readonly type: 'fail'; readonly writes: number }
  | { readonly type: 'worker'; readonly worker: number }
  | { readonly type: 'process' }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'steps'; readonly choices: readonly number[] };

const session = fc.nat({ max: SESSIONS - 1 });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constantFrom('count' as const, 'throw' as const, 'pass' as const),
      session,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('arm' as const),
      session,
      // Often at the same time as others, within and beyond the horizon of a shard.
      after_ms: fc.constantFrom(0, 500, 1_000, 1_000, 1_000, 4_000, 9_000),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('steps' as const),
      choices: fc.array(fc.nat({ max: 31 }), { minLength: 1, maxLength: 40 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'birth' as const }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('fail' as const), writes: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('worker' as const), worker: fc.nat({ max: WORKERS - 1 }) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'process' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 5_000 }) }),
  },
);

const HOPS = 5;

const newId = createIdentifiers(Date.now);

/** Session ids on different shards, so that passing on crosses shards and workers, and the last beside the first. */
const sessionsApart = (count: number): string[] => {
  const apart = new Map<number, string>();
  while (apart.size < count - 1) {
    const id = newId('session');
    if (!apart.has(shardOf(id))) apart.set(shardOf(id), id);
  }
  const [first] = apart.keys();
  return [...apart.values(), sessionOn(first as number)];
};
const sessionOn = (shard: number): string => {
  for (;;) {
    const id = newId('session');
    if (shardOf(id) === shard) return id;
  }
};

test('nothing acknowledged is lost, nothing is taken twice, nothing let out is forgotten, seq is dense', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async (actions) => {
      const sessions = sessionsApart(SESSIONS);
      const world = createWorld(WORKERS);
      const route = sessions.map((id) => counterAddress(id));
      const bells = sessions.flatMap((id) => BELLS.map((bell) => counterAddress(id, bell)));
      const opened = [...route, ...bells].map((to) => world.ask({ to, message: { type: 'open' }, fresh: true }));
      await world.settle();
      assert.ok(opened.every(({ answer }) => answer()?.ok));
      const asked: { readonly kind: string; readonly answer: () => unknown }[] = [];
      const born: string[] = [];
      let processDied = false;
      for (const next of actions) {
        switch (next.type) {
          case 'steps':
            for (const choice of next.choices) await world.step(choice);
            break;
          case 'fail':
            world.failWrites(next.writes);
            break;
          case 'worker':
            world.killWorker(next.worker);
            break;
          case 'process':
            processDied = true;
            world.killProcess();
            break;
          case 'advance':
            world.advance(next.ms);
            break;
          case 'birth': {
            // Beside the first: opened and spoken to before anything of it is committed.
            const id = sessionOn(shardOf(sessions[0] as string));
            born.push(id);
            const to = { session: id, kind: 'session', id } as Envelope['to'];
            world.ask({ to, message: { type: 'nothing of its machine' }, fresh: true });
            world.ask({ to: counterAddress(id), message: { type: 'open' }, fresh: true });
            asked.push({ kind: 'count', ...world.ask({ to: counterAddress(id), message: { type: 'count' } }) });
            break;
          }
          case 'arm': {
            const message: CounterMessage = { type: 'arm', after_ms: next.after_ms };
            for (const bell of BELLS) {
              const to = counterAddress(sessions[next.session] as string, bell);
              asked.push({ kind: 'arm', ...world.ask({ to, message }) });
            }
            break;
          }
          default: {
            const messages: Record<typeof next.type, CounterMessage> = {
              count: { type: 'count' },
              throw: { type: 'throw' },
              pass: { type: 'pass', route, hops: HOPS },
            };
            const to = counterAddress(sessions[next.session] as string);
            asked.push({ kind: next.type, ...world.ask({ to, message: messages[next.type] }) });
          }
        }
      }
      await world.settle();
      // Nobody says anything any more: what comes, comes by itself.
      for (let second = 0; second < 12; second++) {
        world.advance(1_000);
        await world.settle();
      }

      sessions.push(...born);
      const logs = await Promise.all(sessions.map((id) => world.events(id)));
      for (const [index, log] of logs.entries()) {
        for (const [at, json] of log.entries()) {
          const event = JSON.parse(json) as { seq: number };
          assert.is(event.seq, at + 1, 'seq is dense');
        }
        for (const [place, json] of world.released) {
          const [id, seq] = place.split(' ') as [string, string];
          if (id === sessions[index]) assert.is(log[Number(seq) - 1], json, 'what was let out is in the log');
        }
      }
      for (const bell of bells) assert.is(await world.deadline(addressKey(bell)), null, 'every deadline has come');
      const woken = logs.flat().flatMap((json) => (json.includes('"what":"woken"') ? [JSON.parse(json)] : []));
      for (const { data } of woken) assert.ok(data.at >= data.due, 'no deadline comes early');
      const counted = logs.flat().filter((json) => json.includes('"what":"counted"')).length;
      const passed = logs.flat().filter((json) => json.includes('"what":"passed"')).length;
      const askedTo = (kind: string) => asked.filter((each) => each.kind === kind);
      const answered = (kind: string) =>
        askedTo(kind).filter((each) => (each.answer() as { ok?: boolean } | null)?.ok === true).length;
      assert.ok(counted >= answered('count'), 'what was acknowledged happened');
      assert.ok(counted <= askedTo('count').length, 'nothing happened twice');
      assert.is(passed % (HOPS + 1), 0, 'a chain that began came to its end, each link once');
      assert.ok(passed >= answered('pass') * (HOPS + 1));
      if (!processDied) {
        assert.is(counted, askedTo('count').length, 'without a crash of the process nothing at all is lost');
        assert.is(passed, askedTo('pass').length * (HOPS + 1));
        assert.ok(
          asked.every((each) => each.answer() !== null),
          'every call is answered',
        );
      }
    }),
    { numRuns: RUNS, includeErrorInReport: true } as fc.Parameters<unknown>,
  );
});

test.run();
