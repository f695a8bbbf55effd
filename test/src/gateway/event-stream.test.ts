import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { createPageBuilder } from '../../../actors/event-page.ts';
import type { EventPage } from '../../../actors/reads.ts';
import { followEvents, type EventSink } from '../../../src/gateway/event-stream.ts';
import { eventually } from '../../support/gateway.ts';

const test = suite('event stream');

const TYPES = ['a', 'b', 'c'];
const typeOf = (seq: number): string => TYPES[seq % 3] as string;
const eventOf = (seq: number) => ({
  session: 'ses_1',
  seq,
  type: typeOf(seq),
  subject: 's',
  json: JSON.stringify({ id: `evt_${seq}`, seq, type: typeOf(seq), data: { seq: 999 } }),
});

/** A log that grows, and reads of it that take as long as the test says. */
const createLog = (pageSize: number) => {
  let last = 0;
  let first = 1;
  const waiting: (() => void)[] = [];
  return {
    append: () => eventOf((last += 1)),
    last: () => last,
    expire: (upTo: number) => {
      first = upTo + 1;
    },
    readOn: () => waiting.splice(0).forEach((go) => go()),
    reads: {
      events: (_: unknown, { after, types }: { after: number; types?: readonly string[] }) => {
        const page = (): EventPage => {
          const builder = createPageBuilder(after, pageSize);
          let full = false;
          for (let seq = Math.max(after + 1, first); seq <= last && !full; seq++)
            if (types === undefined || types.includes(typeOf(seq))) full = !builder.add(seq, eventOf(seq).json);
          if (!full) builder.pass(last);
          return builder.finish(first, last);
        };
        // What was read is on its way while more happens.
        return new Promise<EventPage>((resolve) => waiting.push(() => resolve(page())));
      },
    },
  };
};

test('has no gap and no duplicate, however reads, events and a slow reader interleave', async () => {
  // Committed and released are two moments: a read may bring what is released only later.
  const step = fc.constantFrom('commit', 'commit', 'release', 'release', 'read', 'block', 'unblock', 'yield', 'yield');
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 100 }),
      fc.nat(10),
      fc.option(fc.subarray(TYPES, { minLength: 1 }), { nil: undefined }),
      fc.integer({ min: 1, max: 4 }),
      async (steps, before, types, pageSize) => {
        const log = createLog(pageSize);
        for (let n = 0; n < before; n++) log.append();
        const after = Math.floor(before / 2);
        const written: number[] = [];
        const reader = { blocked: false, wake: (): void => {} };
        const sink: EventSink = {
          write: (seq) => {
            written.push(seq);
            return !reader.blocked;
          },
          drained: async () => {
            while (reader.blocked) await new Promise<void>((resolve) => (reader.wake = resolve));
            return true;
          },
        };
        const failures: unknown[] = [];
        const stream = followEvents({
          reads: log.reads as never,
          session: 'ses_1' as never,
          after,
          types,
          may: () => true,
          sink,
          onEnd: (reason, cause) => void failures.push([reason, cause]),
        });
        const committed: ReturnType<typeof eventOf>[] = [];
        const release = (): void => {
          const event = committed.shift();
          if (event !== undefined) stream.take(event);
        };
        for (const each of steps) {
          if (each === 'commit') committed.push(log.append());
          else if (each === 'release') release();
          else if (each === 'read') log.readOn();
          else if (each === 'block') reader.blocked = true;
          else if (each === 'unblock') {
            reader.blocked = false;
            reader.wake();
          } else await new Promise((resolve) => setImmediate(resolve));
        }
        reader.blocked = false;
        reader.wake();
        committed.push(log.append());
        while (committed.length > 0) release();
        const wanted = Array.from({ length: log.last() }, (_, index) => index + 1).filter(
          (seq) => seq > after && (types === undefined || types.includes(typeOf(seq))),
        );
        for (let n = 0; n < 200 && written.length < wanted.length; n++) {
          reader.wake();
          log.readOn();
          await new Promise((resolve) => setImmediate(resolve));
        }
        stream.end();
        assert.equal(failures, []);
        assert.equal(written, wanted);
      },
    ),
    { numRuns: 500 },
  );
});

test('starts to follow where it was told of nothing, and catches up where a release is missing', async () => {
  const log = createLog(10);
  const written: number[] = [];
  const stream = followEvents({
    reads: log.reads as never,
    session: 'ses_1' as never,
    after: 0,
    types: undefined,
    may: () => true,
    sink: { write: (seq) => written.push(seq) > 0, drained: async () => true },
    onEnd: (reason) => assert.unreachable(reason),
  });
  const settle = async (): Promise<void> => {
    for (let n = 0; n < 3; n++) {
      await new Promise((resolve) => setImmediate(resolve));
      log.readOn();
    }
    await new Promise((resolve) => setImmediate(resolve));
  };
  await settle();
  stream.take(log.append());
  log.append();
  stream.take(log.append());
  await settle();
  assert.equal(written, [1, 2, 3]);
});

test('finishes with what it was told of, and with nothing later', async () => {
  const log = createLog(4);
  for (let n = 0; n < 5; n++) log.append();
  const written: number[] = [];
  const stream = followEvents({
    reads: log.reads as never,
    session: 'ses_1' as never,
    after: 0,
    types: undefined,
    may: () => true,
    sink: { write: (seq) => written.push(seq) > 0, drained: async () => true },
    onEnd: (reason) => assert.unreachable(reason),
  });
  stream.take(log.append());
  let finished = false;
  const onFinished = (): void => {
    finished = true;
  };
  void stream.finish().then(onFinished);
  stream.take(log.append());
  log.append();
  await eventually('it finished', () => {
    log.readOn();
    return finished;
  });
  assert.equal(written, [1, 2, 3, 4, 5, 6]);
});

test('ends where its cursor expires under it', async () => {
  const log = createLog(2);
  for (let n = 0; n < 10; n++) log.append();
  const ends: string[] = [];
  followEvents({
    reads: log.reads as never,
    session: 'ses_1' as never,
    after: 0,
    types: undefined,
    may: () => true,
    sink: { write: () => true, drained: async () => true },
    onEnd: (reason) => void ends.push(reason),
  });
  await eventually('it has read', () => {
    log.readOn();
    log.expire(6);
    return ends.length > 0;
  });
  assert.equal(ends, ['expired']);
});

test('ends with a read that fails, and with a reader that is gone', async () => {
  const ends: string[] = [];
  const onEnd = (reason: string): void => void ends.push(reason);
  const common = { session: 'ses_1' as never, after: 0, types: undefined, may: () => true, onEnd };
  followEvents({
    ...common,
    reads: { events: () => Promise.reject(new Error('no disk')) },
    sink: { write: () => true, drained: async () => true },
  });
  await eventually('it ended', () => ends.length === 1);
  followEvents({
    ...common,
    reads: createLog(1).reads as never,
    sink: { write: () => true, drained: async () => false },
  });
  await eventually('it ended', () => ends.length === 2);
  assert.equal(ends, ['failed', 'stalled']);
});

test.run();
