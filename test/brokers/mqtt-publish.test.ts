/** PUBLISH and its acknowledgements (MQTT 3.1.1, 3.3 to 3.7, 4.3, 4.6). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openPolicy } from '../../brokers/access.ts';
import { type AnyPacket, publish, settle, subscribe, told, type WireClient, withBroker } from '../support/mqtt-wire.ts';

const test = suite('mqtt publish');

const facts = (packet: AnyPacket): unknown[] => [packet['qos'], packet['retain'], packet['dup'], packet['messageId']];
/** Answers what the server sends until it is quiet; gives the publications. */
const receive = async (client: WireClient): Promise<AnyPacket[]> => {
  const packets = await client.drain();
  for (const { cmd, qos, messageId } of packets) {
    if (cmd === 'publish' && qos === 1) client.send({ cmd: 'puback', messageId });
    if (cmd === 'publish' && qos === 2) client.send({ cmd: 'pubrec', messageId });
    if (cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId });
  }
  return packets;
};

test(
  '[MQTT-4.3.1-1] [MQTT-2.3.1-5] QoS 0 is delivered once, without identifier and acknowledgement',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { t: 2 });
    client.send(publish('t', 'x'));
    const packets = await client.drain();
    assert.equal(packets.map(facts), [[0, false, false, undefined]]);
  }),
);

test(
  '[MQTT-4.3.2-2] [MQTT-2.3.1-6] [MQTT-3.3.4-1] QoS 1 is acknowledged with its identifier, each time it comes',
  withBroker(async (broker) => {
    const client = await broker.login();
    for (const messageId of [1, 77, 65_535]) {
      client.send(publish('t', 'x', { qos: 1, messageId }));
      assert.is((await client.expect('puback')).messageId, messageId);
    }
    client.send(publish('t', 'x', { qos: 1, messageId: 77, dup: true }));
    assert.is((await client.expect('puback')).messageId, 77);
  }),
);

test(
  '[MQTT-4.3.2-1] [MQTT-2.3.1-4] QoS 1 goes out with an identifier that is in use nowhere else, DUP 0',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { t: 1 });
    for (let n = 0; n < 50; n++) void broker.publish('t', String(n), { qos: 1 });
    const packets = await client.drain();
    const ids = packets.map(({ messageId }) => messageId);
    assert.is(new Set(ids).size, 50);
    assert.not(ids.includes(0));
    assert.ok(packets.every(({ dup, qos }) => dup === false && qos === 1));
  }),
);

test(
  '[MQTT-2.3.1-2] an identifier is used again only when it has been acknowledged, over more than 65535 messages',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { t: 1 });
    void broker.publish('t', 'never acknowledged', { qos: 1 });
    const held = (await client.expect('publish')).messageId;
    let seen = 0;
    while (seen < 66_000) {
      for (let n = 0; n < 1_000; n++) void broker.publish('t', '', { qos: 1 });
      for (const packet of await receive(client)) {
        if (packet.cmd !== 'publish') continue;
        seen++;
        assert.is.not(packet.messageId, held);
      }
    }
    assert.equal(broker.cuts, []);
  }),
);

test(
  'a client that acknowledges nothing is cut off at the bound',
  withBroker(
    async (broker) => {
      const client = await broker.login('mute');
      await subscribe(client, { t: 1 });
      for (let n = 0; n < 11; n++) await broker.publish('t', String(n), { qos: 1 });
      await client.closed();
      assert.equal(broker.cuts, ['mute: acknowledges nothing']);
    },
    { limits: { maxUnacknowledged: 10 } },
  ),
);

test(
  '[MQTT-4.3.3-2] QoS 2 is published once, however often it comes before PUBREL, and again under the same identifier after',
  withBroker(async (broker) => {
    const seen: string[] = [];
    broker.subscribe('t', (_topic, payload) => seen.push(String(payload)));
    const client = await broker.login();
    const message = (payload: string, dup = false): object => publish('t', payload, { qos: 2, messageId: 5, dup });
    client.send(message('a'), message('a', true));
    assert.is((await client.expect('pubrec')).messageId, 5);
    assert.is((await client.expect('pubrec')).messageId, 5);
    client.send(message('a', true));
    assert.is((await client.expect('pubrec')).messageId, 5);
    assert.equal(seen, ['a']);
    client.send({ cmd: 'pubrel', messageId: 5 });
    assert.is((await client.expect('pubcomp')).messageId, 5);
    client.send(message('b'));
    await client.expect('pubrec');
    assert.equal(seen, ['a', 'b']);
  }),
);

test(
  '[MQTT-4.3.3-2] PUBREL of an unknown identifier is answered by PUBCOMP',
  withBroker(async (broker) => {
    const client = await broker.login();
    client.send({ cmd: 'pubrel', messageId: 99 });
    assert.is((await client.expect('pubcomp')).messageId, 99);
  }),
);

test(
  '[MQTT-4.3.3-1] [MQTT-2.3.1-6] QoS 2 goes out as PUBLISH, and after PUBREC as PUBREL with the same identifier',
  withBroker(async (broker) => {
    const publisher = await broker.login();
    const client = await broker.login();
    await subscribe(client, { t: 2 });
    publisher.send(publish('t', 'x', { qos: 2, messageId: 1 }));
    const { messageId, qos, dup } = await client.expect('publish');
    assert.equal([qos, dup], [2, false]);
    client.send({ cmd: 'pubrec', messageId });
    assert.is((await client.expect('pubrel')).messageId, messageId);
    client.send({ cmd: 'pubcomp', messageId });
    assert.equal(await client.drain(), []);
  }),
);

test(
  '[MQTT-3.3.1-3] DUP of an incoming PUBLISH is not passed on',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { t: 1 });
    client.send(publish('t', 'x', { qos: 1, messageId: 3, dup: true }));
    const packets = (await receive(client)).filter(({ cmd }) => cmd === 'publish');
    assert.equal(
      packets.map(({ dup }) => dup),
      [false],
    );
  }),
);

test(
  '[MQTT-3.8.4-6] a message goes out with the lesser QoS of its own and the subscription, by whatever filter',
  withBroker(async (broker) => {
    const publisher = await broker.login();
    for (const filter of ['q/t', 'q/+', 'q/#'])
      for (const granted of [0, 1, 2] as const)
        for (const sent of [0, 1, 2] as const) {
          const client = await broker.login();
          await subscribe(client, { [filter]: granted });
          publisher.send(publish('q/t', 'x', { qos: sent, messageId: 1 }));
          if (sent === 2) publisher.send({ cmd: 'pubrel', messageId: 1 });
          await publisher.drain();
          const qos = (await client.drain()).map((packet) => packet['qos']);
          assert.equal(qos, [Math.min(granted, sent)], `${filter} ${granted} ${sent}`);
          client.destroy();
        }
  }),
);

test(
  '[MQTT-3.3.5-1] overlapping filters bring a message once, with the greatest QoS of those that match',
  withBroker(async (broker) => {
    const publisher = await broker.login();
    const orders = [
      { 'o/t': 0, 'o/+': 1, '#': 2 },
      { '#': 2, 'o/+': 1, 'o/t': 0 },
      { 'o/+': 2, 'o/t': 1, '#': 0 },
    ] as const;
    for (const [index, filters] of orders.entries())
      for (const clean of [true, false]) {
        const client = await broker.login(`o${index}${clean}`, { clean });
        await subscribe(client, filters);
        publisher.send(publish('o/t', 'x', { qos: 2, messageId: 1 }), { cmd: 'pubrel', messageId: 1 });
        await publisher.drain();
        assert.equal(
          (await receive(client)).map((packet) => packet['qos']),
          [2],
          JSON.stringify(filters),
        );
        assert.equal(
          (await receive(client)).map(({ cmd }) => cmd),
          ['pubrel'],
        );
        client.send({ cmd: 'disconnect' });
        await client.closed();
      }
    assert.equal(broker.errors, []);
  }),
);

test(
  '[MQTT-3.3.2-3] the topic of a delivery is the one published, byte for byte [MQTT-4.7.3-4]',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { '#': 0 });
    for (const topic of ['A', 'a', '/', '//', 'a/', '/a', 'ä', 'a\u0308', ' ', 'a b', '\u0001', '𝄞'])
      client.send(publish(topic, 'x'));
    assert.equal(
      told(await client.drain()),
      ['A', 'a', '/', '//', 'a/', '/a', 'ä', 'a\u0308', ' ', 'a b', '\u0001', '𝄞'].map((t) => `${t}=x`),
    );
  }),
);

test(
  '[MQTT-4.7.3-3] a topic of 65535 bytes is carried',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { '#': 0 });
    const topic = 'x'.repeat(65_535);
    client.send(publish(topic, 'y'));
    assert.is((await client.expect('publish'))['topic'], topic);
  }),
);

test(
  '[MQTT-4.6.0-5] [MQTT-4.6.0-6] messages of one QoS on a topic keep their order, at each QoS',
  withBroker(async (broker) => {
    const client = await broker.login();
    const publisher = await broker.login();
    await subscribe(client, { t: 2 });
    const sent = Array.from({ length: 90 }, (_, n) => publish('t', `${n % 3} ${n}`, { qos: n % 3, messageId: n + 1 }));
    publisher.send(...sent);
    await publisher.drain();
    const got = told(await client.drain());
    assert.is(got.length, 90);
    for (const qos of ['0', '1', '2']) {
      const numbers = got.filter((entry) => entry.startsWith(`t=${qos} `)).map((entry) => Number(entry.slice(4)));
      assert.equal(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
      assert.is(numbers.length, 30);
    }
  }),
);

test(
  '[MQTT-4.6.0-5] acknowledgements go out in the order in which the messages came',
  withBroker(async (broker) => {
    const client = await broker.login();
    const ids = Array.from({ length: 40 }, (_, n) => 40 - n);
    client.send(...ids.map((messageId) => publish('t', 'x', { qos: 1, messageId })));
    assert.equal(
      (await client.drain()).map(({ messageId }) => messageId),
      ids,
    );
    client.send(...ids.map((messageId) => publish('t', 'x', { qos: 2, messageId })));
    assert.equal(
      (await client.drain()).map(({ messageId }) => messageId),
      ids,
    );
    client.send(...ids.map((messageId) => ({ cmd: 'pubrel', messageId })));
    assert.equal(
      (await client.drain()).map(({ messageId }) => messageId),
      ids,
    );
  }),
);

test(
  '[MQTT-3.3.5-2] a publication that is not allowed is acknowledged and dropped, or ends the connection',
  withBroker(
    async (broker) => {
      const client = await broker.login();
      await subscribe(client, { '#': 0 });
      client.send(
        publish('ignore', 'x'),
        publish('ignore', 'x', { qos: 1, messageId: 1 }),
        publish('ignore', 'x', { qos: 2, messageId: 2 }),
      );
      assert.equal(
        (await client.drain()).map(({ cmd }) => cmd),
        ['puback', 'pubrec'],
      );
      client.send(publish('disconnect', 'x', { qos: 1, messageId: 3 }));
      assert.equal(await client.closed(), []);
    },
    { policy: { ...openPolicy, publish: (_client, { topic }) => topic as 'ignore' | 'disconnect' } },
  ),
);

test(
  'a thousand publications of mixed QoS and retain, from inside and from the network, all arrive in order',
  withBroker(async (broker) => {
    const kept = await broker.login('kept', { clean: false });
    const clean = await broker.login('clean');
    await subscribe(kept, { 'mix/#': 1 });
    await subscribe(clean, { 'mix/#': 1 });
    const publisher = await broker.login();
    const inside: string[] = [];
    const outside: string[] = [];
    for (let n = 0; n < 500; n++) {
      inside.push(`mix/in=${n}`);
      outside.push(`mix/out=${n}`);
      void broker.publish('mix/in', String(n), { qos: n % 2 === 0 ? 1 : 0 });
      publisher.send(publish('mix/out', String(n), { qos: n % 3, retain: n % 5 === 0, messageId: n + 1 }));
      if (n % 50 === 0) await settle(2);
    }
    await publisher.drain();
    for (const client of [kept, clean]) {
      const got = told(await client.drain());
      assert.equal(
        got.filter((entry) => entry.startsWith('mix/in')),
        inside,
      );
      assert.equal(
        got.filter((entry) => entry.startsWith('mix/out')),
        outside,
      );
    }
    assert.equal(broker.cuts, []);
  }),
);

test.run();
