import { BusClosedError, type Bus, type BusOptions } from '../../brokers/bus.ts';
import { topicMatches } from '../../machines/topic.ts';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

/** Publications are taken when the promise resolves; what a bus still has to hand on has a turn of the loop for it. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

const rejection = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => assert.unreachable('expected a rejection'),
    (error: unknown) => error,
  );

const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);

/** What every adapter of the Bus port must do. Runs as a suite of its own. */
export const runBusContract = (name: string, create: (options?: BusOptions) => Promise<Bus>): void => {
  const test = suite(`bus contract: ${name}`);

  const withBus = (body: (bus: Bus) => Promise<void>, options?: BusOptions) => async (): Promise<void> => {
    const bus = await create(options);
    try {
      await body(bus);
    } finally {
      await bus.close();
    }
  };

  test(
    'publications arrive in the order of the calls whatever their QoS',
    withBus(async (bus) => {
      const seen: string[] = [];
      bus.subscribe('order/#', (topic, payload) => seen.push(`${topic} ${text(payload)}`));
      const sent: string[] = [];
      for (let n = 0; n < 300; n++) {
        sent.push(`order/${n % 3} ${n}`);
        void bus.publish(`order/${n % 3}`, String(n), { qos: n % 2 === 0 ? 1 : 0 });
      }
      await settle();
      assert.equal(seen, sent);
    }),
  );

  test(
    'a listener that publishes is heard by everybody after what it answers',
    withBus(async (bus) => {
      const first: string[] = [];
      const second: string[] = [];
      bus.subscribe('ask', () => void bus.publish('answer', 'a', { qos: 1 }));
      bus.subscribe('+', (topic) => first.push(topic));
      bus.subscribe('#', (topic) => second.push(topic));
      await bus.publish('ask', 'q');
      await settle();
      assert.equal(first, ['ask', 'answer']);
      assert.equal(second, ['ask', 'answer']);
    }),
  );

  test(
    'text and bytes arrive as bytes',
    withBus(async (bus) => {
      const seen: Uint8Array[] = [];
      bus.subscribe('b', (_topic, payload) => seen.push(payload));
      await bus.publish('b', 'Grüße');
      await bus.publish('b', new Uint8Array([0, 255, 7]));
      await bus.publish('b', new Uint8Array([9, 1, 2, 9]).subarray(1, 3));
      await bus.publish('b', '');
      await settle();
      assert.equal(
        seen.map((payload) => [...payload]),
        [[...Buffer.from('Grüße')], [0, 255, 7], [1, 2], []],
      );
    }),
  );

  test(
    'filters match as MQTT says',
    withBus(async (bus) => {
      const level = fc.constantFrom('a', 'b', '', '$x', 'ä');
      const topics = fc
        .array(level, { minLength: 1, maxLength: 4 })
        .map((levels) => levels.join('/'))
        .filter((t) => t !== '');
      const filters = fc
        .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 0, maxLength: 4 }), fc.boolean())
        .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'))
        .filter((filter) => filter !== '');
      await fc.assert(
        fc.asyncProperty(topics, fc.array(filters, { minLength: 1, maxLength: 5 }), async (topic, wanted) => {
          const seen: number[] = [];
          const ends = wanted.map((filter, index) => bus.subscribe(filter, () => seen.push(index)));
          const watched = bus.watched(topic);
          await bus.publish(topic, 'x');
          await settle();
          for (const end of ends) end();
          const expected = wanted.flatMap((filter, index) => (topicMatches(filter, topic) ? [index] : []));
          assert.equal(
            seen.toSorted((a, b) => a - b),
            expected,
            `${topic} with ${wanted.join(' ')}`,
          );
          assert.is(watched, expected.length > 0);
          assert.is(bus.watched(topic), false);
        }),
        { numRuns: 150 },
      );
    }),
  );

  test(
    'after the end of a subscription no call is made, not even of the publication being handed out',
    withBus(async (bus) => {
      const seen: string[] = [];
      const ends: (() => void)[] = [];
      bus.subscribe('t', () => {
        for (const end of ends) end();
      });
      ends.push(bus.subscribe('t', () => seen.push('late')));
      await bus.publish('t', '1');
      await bus.publish('t', '2');
      await settle();
      assert.equal(seen, []);
      for (const end of ends) end();
    }),
  );

  test(
    'two subscriptions of one listener end one by one',
    withBus(async (bus) => {
      let calls = 0;
      const listener = (): void => void calls++;
      const end = bus.subscribe('t', listener);
      bus.subscribe('t', listener);
      await bus.publish('t', '');
      end();
      end();
      await bus.publish('t', '');
      await settle();
      assert.is(calls, 3);
    }),
  );

  test('a listener that throws is reported and keeps its subscription and everybody else theirs', async () => {
    const reported: unknown[] = [];
    const bus = await create({ onError: (error) => reported.push(error) });
    const seen: string[] = [];
    const problem = new Error('listener');
    bus.subscribe('t', () => {
      throw problem;
    });
    bus.subscribe('t', (_topic, payload) => seen.push(text(payload)));
    await bus.publish('t', '1', { qos: 1 });
    await bus.publish('t', '2');
    await settle();
    assert.equal(seen, ['1', '2']);
    assert.equal(reported, [problem, problem]);
    await bus.close();
  });

  test(
    'an invalid topic is a RangeError, an invalid filter too',
    withBus(async (bus) => {
      const topics = ['', 'a/+', '#', 'a\0b', 'a\ud800', `${'x/'.repeat(100)}x`, 'x'.repeat(65_536)];
      for (const topic of topics) assert.instance(await rejection(bus.publish(topic, 'x')), RangeError);
      for (const filter of ['', 'a#', '#/a', 'a/#/b', 'a+', '+a/b', 'a\0', 'x'.repeat(65_536)])
        assert.throws(
          () => bus.subscribe(filter, () => {}),
          (error: unknown) => error instanceof RangeError,
          filter,
        );
      for (const topic of ['/', 'a//b', ' ', `${'x/'.repeat(99)}x`, 'x'.repeat(65_535)]) await bus.publish(topic, 'x');
    }),
  );

  test(
    'watched follows subscriptions',
    withBus(async (bus) => {
      assert.is(bus.watched('w/x'), false);
      const end = bus.subscribe('w/+', () => {});
      const other = bus.subscribe('w/x', () => {});
      assert.is(bus.watched('w/x'), true);
      assert.is(bus.watched('w/x/y'), false);
      end();
      assert.is(bus.watched('w/x'), true);
      other();
      assert.is(bus.watched('w/x'), false);
    }),
  );

  test('close ends everything, twice is once, and what comes after is refused', async () => {
    const bus = await create();
    let calls = 0;
    bus.subscribe('t', () => void calls++);
    await Promise.all([bus.close(), bus.close()]);
    await bus.close();
    assert.instance(await rejection(bus.publish('t', 'x')), BusClosedError);
    assert.throws(
      () => bus.subscribe('t', () => {}),
      (error: unknown) => error instanceof BusClosedError,
    );
    assert.is(bus.watched('t'), false);
    assert.is(calls, 0);
  });

  test.run();
};
