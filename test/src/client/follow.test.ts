import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError } from '../../../machines/error.ts';
import type { Event } from '../../../machines/event.ts';
import type { EventFeed, FeedListener } from '../../../src/client/event-feed.ts';
import { followEvents, type FollowOptions } from '../../../src/client/follow.ts';
import { createHttpClient } from '../../../src/client/http.ts';
import { createFakeGateway, SESSION, TOKEN, until, type FakeGateway } from './fake-gateway.ts';

const test = suite<{ gateway: FakeGateway }>('follow');

/** Ends what a failed test still follows. */
let over = new AbortController();

test.before.each(async (context) => {
  over = new AbortController();
  context.gateway = await createFakeGateway();
});
test.after.each(async ({ gateway }) => {
  over.abort();
  await gateway.close();
});

const NOW = { random: () => 0 };

const follow = (gateway: FakeGateway, options: FollowOptions = {}): AsyncGenerator<Event, void, undefined> =>
  createHttpClient({ url: gateway.http, token: TOKEN }).follow({
    session_id: SESSION,
    ...NOW,
    signal: over.signal,
    ...options,
  });

/** Collects in the background. */
const collect = (events: AsyncIterable<Event>) => {
  const seen: Event[] = [];
  const ended = (async () => {
    for await (const event of events) seen.push(event);
  })();
  ended.catch(() => undefined);
  return { seen, ended };
};

const dense = (count: number, from = 1): number[] => Array.from({ length: count }, (_, index) => from + index);

const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error instanceof ProblemError ? error.problem.code : String(error)),
  );

test('replays page by page, follows, and ends with the session', async ({ gateway }) => {
  gateway.pageLimit = 7;
  for (let i = 0; i < 40; i += 1) gateway.append('execution_progress');
  const { seen, ended } = collect(follow(gateway));
  await until(() => gateway.streams() === 1, 'the stream');
  gateway.append('execution_completed');
  gateway.append('session_closed');
  await ended;
  assert.equal(seen, gateway.log);
});

test('begins after the seq that it is given', async ({ gateway }) => {
  for (let i = 0; i < 5; i += 1) gateway.append('execution_progress');
  gateway.append('session_closed');
  const { seen, ended } = collect(follow(gateway, { after: 3 }));
  await ended;
  assert.equal(
    seen.map(({ seq }) => seq),
    [4, 5, 6],
  );
});

test('comes back after cuts and refusals without a gap or a double', async ({ gateway }) => {
  const { seen, ended } = collect(follow(gateway));
  for (let round = 0; round < 6; round += 1) {
    await until(() => gateway.streams() === 1, 'a stream');
    gateway.append('execution_progress', { round });
    gateway.refuseStreams = round % 3;
    gateway.cutStreams();
    gateway.append('execution_output', { round });
  }
  gateway.append('session_closed');
  await ended;
  assert.equal(seen, gateway.log);
});

test('hands over only the types that are wanted', async ({ gateway }) => {
  gateway.append('execution_queued');
  gateway.append('execution_progress');
  gateway.append('execution_completed');
  gateway.append('session_closed');
  const { seen, ended } = collect(follow(gateway, { types: ['execution_queued', 'execution_completed'] }));
  await ended;
  assert.equal(
    seen.map(({ seq }) => seq),
    [1, 3],
  );
});

test('a reader that is slow gets everything from the log', async ({ gateway }) => {
  gateway.append('session_opened');
  const events = follow(gateway, { capacity: 3 });
  const seen = [await events.next()];
  const waiting = events.next();
  await until(() => gateway.streams() === 1, 'the stream');
  for (let i = 0; i < 200; i += 1) gateway.append('execution_progress');
  seen.push(await waiting);
  // Nobody reads while all of them come.
  await new Promise((resolve) => setTimeout(resolve, 100));
  gateway.append('session_closed');
  for await (const event of events) seen.push({ done: false, value: event });
  assert.equal(
    seen.map(({ value }) => (value as Event).seq),
    dense(gateway.log.length),
  );
});

test('the caller ends it, also while it waits, and the stream is closed', async ({ gateway }) => {
  const controller = new AbortController();
  gateway.append('session_opened');
  const { seen, ended } = collect(follow(gateway, { signal: controller.signal }));
  await until(() => gateway.streams() === 1, 'the stream');
  controller.abort();
  await ended;
  assert.is(seen.length, 1);
  await until(() => gateway.streams() === 0, 'the end of the stream');
});

test('leaving the loop closes the stream', async ({ gateway }) => {
  gateway.append('session_opened');
  const events = follow(gateway);
  await events.next();
  const waiting = events.next();
  await until(() => gateway.streams() === 1, 'the stream');
  gateway.append('execution_queued');
  await waiting;
  await events.return();
  await until(() => gateway.streams() === 0, 'the end of the stream');
});

test('what another attempt would not change is thrown', async ({ gateway }) => {
  const wrong = createHttpClient({ url: gateway.http, token: 'another' }).follow({ session_id: SESSION, ...NOW });
  assert.is(await codeOf(collect(wrong).ended), 'unauthenticated');
  gateway.append('session_opened');
  gateway.append('execution_queued');
  (gateway.log as Event[]).shift();
  assert.is(await codeOf(collect(follow(gateway, { after: 0 })).ended), 'cursor_expired');
});

test('who asks for no place begins with the first event that is left', async ({ gateway }) => {
  for (const type of ['session_opened', 'execution_queued', 'execution_started'] as const) gateway.append(type);
  (gateway.log as Event[]).splice(0, 2);
  const { seen, ended } = collect(follow(gateway));
  await until(() => seen.length === 1, 'what is left');
  gateway.append('session_closed');
  await ended;
  assert.equal(
    seen.map(({ seq }) => seq),
    [3, 4],
  );
});

test('gives up where nobody comes back', async ({ gateway }) => {
  const { ended } = collect(follow(gateway, { giveUpMs: 100 }));
  await until(() => gateway.streams() === 1, 'the stream');
  await gateway.close();
  assert.is(await codeOf(ended), 'unavailable');
  // For the hook, which closes it again.
  gateway.close = async () => undefined;
});

/** What the n-th use of a feed does: brings on, fails, cuts, or lets live events go missing. */
const fault = fc.constantFrom('fine', 'fine', 'fine', 'list fails', 'open fails', 'cut', 'drop', 'double', 'reorder');

test('over any faults of the connection: each event once, in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(fault, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 30 }),
      async (replays, faults, capacity, total) => {
        const log: Event[] = [];
        let listener: FeedListener | null = null;
        let use = 0;
        const next = (): string => (use < faults.length ? (faults[use++] as string) : 'fine');
        const fail = (): never => {
          throw new ProblemError('unavailable', 'a fault');
        };
        const feed: EventFeed = {
          replays,
          list: async (after, limit) => {
            if (next() === 'list fails') fail();
            await Promise.resolve();
            const rest = log.slice(after);
            return { events: rest.slice(0, limit), next: rest.length > limit ? after + limit : null };
          },
          open: async (after, opened) => {
            if (next() === 'open fails') fail();
            await Promise.resolve();
            if (replays) for (const event of log.slice(after)) opened.event(event);
            listener = opened;
            return { close: () => void (listener = listener === opened ? null : listener) };
          },
        };
        const produce = async (): Promise<void> => {
          for (let seq = 1; seq <= total; seq += 1) {
            const event = { seq, type: seq === total ? 'session_closed' : 'execution_progress' } as Event;
            log.push(event);
            const what = next();
            const to = listener;
            // A connection that loses an event shows it at the latest with its own loss.
            if (what === 'cut' || (what === 'drop' && seq === total)) {
              listener = null;
              to?.lost(new ProblemError('unavailable', 'cut'));
            } else if (what !== 'drop') {
              if (what === 'reorder' && seq > 1) to?.event(log[seq - 2] as Event);
              to?.event(event);
              if (what === 'double') to?.event(event);
            }
            if (seq % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
          }
        };
        const seen: number[] = [];
        const done = (async () => {
          for await (const { seq } of followEvents(feed, { capacity, random: () => 0 })) seen.push(seq);
        })();
        await Promise.all([produce(), done]);
        assert.equal(seen, dense(total));
      },
    ),
    { numRuns: 150 },
  );
});

test.run();
