/** One subscriber that does not read must cost the others nothing, and in the end only itself its connection. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AnyPacket,
  dialTcp,
  CONNECT,
  publish,
  settle,
  subscribe,
  told,
  until,
  type WireClient,
  withBroker,
  within,
} from '../support/mqtt-wire.ts';

const test = suite('slow consumer');

const KIB = 1024;

const overTcp = async (port: number, clientId: string): Promise<WireClient> => {
  const client = await dialTcp(port);
  client.send({ ...CONNECT, clientId });
  await client.expect('connack');
  return client;
};

/** Reads about so many bytes and then no more. */
const takes = ({ stream }: WireClient, bytes: number): Promise<void> =>
  new Promise((resolve) => {
    let left = bytes;
    const take = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left > 0) return;
      stream.off('data', take).pause();
      resolve();
    };
    stream.on('data', take).resume();
  });

test(
  'a frozen socket is cut off at its backlog while another gets everything',
  withBroker(async (broker) => {
    const { port } = await broker.listenTcp({ host: '127.0.0.1', port: 0 });
    const frozen = await overTcp(port, 'frozen');
    const healthy = await overTcp(port, 'healthy');
    await subscribe(frozen, { t: 1 });
    await subscribe(healthy, { t: 1 });
    frozen.stream.pause();
    const got: AnyPacket[] = [];
    let sent = 0;
    while (broker.cuts.length === 0) {
      assert.ok(sent < 10_000, 'the frozen one is cut off before 320 MiB');
      await broker.publish('t', String(sent++).padEnd(32 * KIB), { qos: 1 });
      got.push(...(await healthy.drain()));
    }
    assert.equal(broker.cuts, ['frozen: too slow for what it subscribes to']);
    assert.equal(
      told(got).map((entry) => Number(entry.slice(2))),
      Array.from({ length: sent }, (_, n) => n),
    );
    assert.equal(
      broker.connections().map(({ clientId }) => clientId),
      ['healthy'],
    );
  }),
);

test(
  'a frozen subscriber holds up a publisher on the network for a moment once, not for each message',
  withBroker(
    async (broker) => {
      const frozen = await broker.login('frozen');
      await subscribe(frozen, { t: 0 });
      frozen.stream.pause();
      const publisher = await broker.login('publisher');
      // Were each round held up, all of them would take longer than the deadline.
      const rounds = async (): Promise<void> => {
        for (let n = 0; n < 15; n++) {
          publisher.send(...Array.from({ length: 8 }, () => publish('t', 'x'.repeat(6 * KIB))));
          await publisher.drain();
        }
      };
      await within('end of the rounds', rounds());
      assert.equal(broker.cuts, []);
    },
    { limits: { stallMs: 1_000 } },
  ),
);

test(
  'a subscriber that takes nothing for the longest stall is cut off, though its backlog is small',
  withBroker(
    async (broker) => {
      const frozen = await broker.login('frozen');
      await subscribe(frozen, { t: 0 });
      frozen.stream.pause();
      for (let n = 0; n < 8; n++) await broker.publish('t', 'x'.repeat(64 * KIB));
      await until('the cut', () => broker.cuts.length > 0);
      assert.equal(broker.cuts, ['frozen: takes nothing']);
    },
    { limits: { stallMs: 5, maxStallMs: 50 } },
  ),
);

test(
  'a slow subscriber that reads on keeps its connection beyond the longest stall and loses nothing',
  withBroker(
    async (broker) => {
      const slow = await broker.login('slow');
      await subscribe(slow, { t: 1 });
      slow.stream.pause();
      for (let n = 0; n < 12; n++) await broker.publish('t', String(n).padEnd(64 * KIB), { qos: 1 });
      await settle();
      for (let step = 0; step < 6; step++) {
        await new Promise((resolve) => setTimeout(resolve, 250));
        await within('a part', takes(slow, 96 * KIB));
      }
      slow.stream.resume();
      assert.is((await slow.drain()).length, 12);
      assert.equal(broker.cuts, []);
    },
    { limits: { stallMs: 5, maxStallMs: 1_000 } },
  ),
);

test(
  'a burst in one go that no connection could hold is cut off before it fills the memory',
  withBroker(
    async (broker) => {
      const client = await broker.login('burst');
      await subscribe(client, { t: 0 });
      for (let n = 0; n < 40; n++) void broker.publish('t', 'x'.repeat(32 * KIB));
      await client.closed();
      assert.equal(broker.cuts, ['burst: too slow for what it subscribes to']);
    },
    { limits: { maxBacklogBytes: 64 * KIB } },
  ),
);

test(
  'what a cut session kept is there when it comes back',
  withBroker(
    async (broker) => {
      const client = await broker.login('kept', { clean: false });
      await subscribe(client, { t: 1 });
      client.stream.pause();
      for (let n = 0; n < 12; n++) {
        await broker.publish('t', String(n).padEnd(32 * KIB), { qos: 1 });
        await settle();
      }
      assert.equal(broker.cuts, ['kept: too slow for what it subscribes to']);
      const again = await broker.login('kept', { clean: false });
      const numbers = told(await again.drain()).map((entry) => Number(entry.slice(2)));
      assert.equal(
        numbers,
        Array.from({ length: 12 }, (_, n) => n),
      );
    },
    { limits: { maxBacklogBytes: 128 * KIB } },
  ),
);

test.run();
