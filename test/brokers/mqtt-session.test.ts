/** Sessions, wills and how a connection ends (MQTT 3.1.1, 3.1.2.4, 3.1.2.5, 3.14, 4.1, 4.4, 4.5). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { publish, settle, subscribe, told, type WireClient, withBroker } from '../support/mqtt-wire.ts';

const test = suite('mqtt session');

const leave = async (client: WireClient): Promise<void> => {
  client.send({ cmd: 'disconnect' });
  await client.closed();
  await settle();
};

const will = (more: object = {}): object => ({ will: { topic: 'will', payload: 'w', qos: 0, retain: false, ...more } });

test(
  '[MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-4.5.0-1] a kept session gets what was published at QoS 1 and 2 while it was away, in order',
  withBroker(async (broker) => {
    const client = await broker.login('kept', { clean: false });
    await subscribe(client, { 'k/#': 2 });
    await leave(client);
    const publisher = await broker.login();
    publisher.send(
      publish('k/1', 'a', { qos: 1, messageId: 1 }),
      publish('k/0', 'not kept'),
      publish('k/2', 'b', { qos: 2, messageId: 2 }),
      publish('k/1', 'c', { qos: 1, messageId: 3 }),
    );
    await publisher.drain();
    const again = await broker.login('kept', { clean: false });
    const packets = await again.drain();
    assert.equal(told(packets), ['k/1=a', 'k/2=b', 'k/1=c']);
    assert.equal(
      packets.map(({ dup, qos }) => [dup, qos]),
      [
        [false, 1],
        [false, 2],
        [false, 1],
      ],
    );
    again.send(publish('k/x', 'still subscribed'));
    assert.equal(told(await again.drain()), ['k/x=still subscribed']);
  }),
);

test(
  '[MQTT-3.1.2-5] what is kept has the QoS of the subscription, once, also with overlapping filters',
  withBroker(async (broker) => {
    const client = await broker.login('kept', { clean: false });
    await subscribe(client, { 'k/+': 1, 'k/#': 0, 'k/t': 1 });
    await leave(client);
    const publisher = await broker.login();
    publisher.send(publish('k/t', 'a', { qos: 2, messageId: 1 }));
    await publisher.drain();
    const again = await broker.login('kept', { clean: false });
    const [packet, ...more] = await again.drain();
    assert.equal([packet?.['qos'], more], [1, []]);
    again.send({ cmd: 'puback', messageId: packet?.messageId });
    await again.drain();
    await leave(again);
    assert.equal(await (await broker.login('kept', { clean: false })).drain(), []);
  }),
);

test(
  '[MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-2.3.1-3] what was not acknowledged is sent again with its identifier and DUP 1',
  withBroker(async (broker) => {
    const client = await broker.login('kept', { clean: false });
    await subscribe(client, { t: 2, '#': 1 });
    const publisher = await broker.login();
    publisher.send(publish('t', 'one', { qos: 1, messageId: 1 }), publish('t', 'two', { qos: 2, messageId: 2 }));
    await publisher.drain();
    const first = (await client.drain()).map(({ messageId, topic, payload }) => [messageId, topic, String(payload)]);
    assert.is(first.length, 2);
    client.destroy();
    await settle();
    const again = await broker.login('kept', { clean: false });
    const packets = await again.drain();
    assert.equal(
      packets.map(({ messageId, topic, payload }) => [messageId, topic, String(payload)]),
      first,
    );
    assert.ok(packets.every(({ dup }) => dup === true));
    const [one, two] = packets;
    again.send({ cmd: 'puback', messageId: one?.messageId }, { cmd: 'pubrec', messageId: two?.messageId });
    await again.expect('pubrel');
    again.destroy();
    await settle();
    const third = await broker.login('kept', { clean: false });
    assert.equal(
      (await third.drain()).map(({ cmd, messageId }) => [cmd, messageId]),
      [['pubrel', two?.messageId]],
    );
    third.send({ cmd: 'pubcomp', messageId: two?.messageId });
    await third.drain();
    await leave(third);
    assert.equal(await (await broker.login('kept', { clean: false })).drain(), []);
  }),
);

test(
  '[MQTT-2.3.1-4] a new message does not get the identifier of one that a resumed session still awaits',
  withBroker(async (broker) => {
    const client = await broker.login('kept', { clean: false });
    await subscribe(client, { t: 1 });
    for (let n = 0; n < 5; n++) void broker.publish('t', String(n), { qos: 1 });
    await client.drain();
    client.destroy();
    await settle();
    const again = await broker.login('kept', { clean: false });
    for (let n = 5; n < 10; n++) void broker.publish('t', String(n), { qos: 1 });
    const packets = await again.drain();
    assert.equal(
      told(packets),
      Array.from({ length: 10 }, (_, n) => `t=${n}`),
    );
    assert.is(new Set(packets.map(({ messageId }) => messageId)).size, 10);
  }),
);

test(
  '[MQTT-3.1.2-6] a clean session forgets the one before, and is forgotten itself',
  withBroker(async (broker) => {
    const kept = await broker.login('s', { clean: false });
    await subscribe(kept, { t: 1 });
    await leave(kept);
    await broker.publish('t', 'lost', { qos: 1 });
    const clean = await broker.login('s');
    await broker.publish('t', 'x', { qos: 1 });
    assert.equal(await clean.drain(), []);
    await subscribe(clean, { t: 1 });
    await leave(clean);
    const after = await broker.login('s', { clean: false });
    await broker.publish('t', 'x', { qos: 1 });
    assert.equal(await after.drain(), []);
  }),
);

test(
  '[MQTT-4.3.3-2] an identifier of QoS 2 that awaits PUBREL survives the connection of a kept session, not of a clean one',
  withBroker(async (broker) => {
    const seen: string[] = [];
    broker.subscribe('t', (_topic, payload) => seen.push(String(payload)));
    for (const clean of [false, true]) {
      const client = await broker.login(`q${clean}`, { clean });
      client.send(publish('t', 'first', { qos: 2, messageId: 1 }));
      await client.expect('pubrec');
      client.destroy();
      await settle();
      const again = await broker.login(`q${clean}`, { clean });
      again.send(publish('t', 'again', { qos: 2, messageId: 1, dup: true }));
      await again.expect('pubrec');
    }
    assert.equal(seen, ['first', 'first', 'again']);
  }),
);

test(
  '[MQTT-3.10.4-1] UNSUBSCRIBE is remembered by a kept session',
  withBroker(async (broker) => {
    const client = await broker.login('kept', { clean: false });
    await subscribe(client, { a: 1, b: 1 });
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
    await client.expect('unsuback');
    await leave(client);
    await broker.publish('a', 'x', { qos: 1 });
    await broker.publish('b', 'x', { qos: 1 });
    assert.equal(told(await (await broker.login('kept', { clean: false })).drain()), ['b=x']);
  }),
);

test(
  'what is published at the very moment of a return comes once and in order',
  withBroker(async (broker) => {
    for (let round = 0; round < 20; round++) {
      const client = await broker.login(`r${round}`, { clean: false });
      await subscribe(client, { [`r${round}`]: 1 });
      await leave(client);
      let n = 0;
      const send = (): void => void broker.publish(`r${round}`, String(n++), { qos: 1 });
      send();
      const back = broker.login(`r${round}`, { clean: false });
      for (let step = 0; step < 30; step++) {
        send();
        await (step % 3 === 0 ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve());
      }
      assert.equal(
        told(await (await back).drain()),
        Array.from({ length: n }, (_, i) => `r${round}=${i}`),
      );
    }
  }),
);

test(
  'the queue of a session is bounded, and so is their number',
  withBroker(
    async (broker) => {
      for (const id of ['a', 'b', 'c']) {
        const client = await broker.login(id, { clean: false });
        await subscribe(client, { t: 1 });
        await leave(client);
      }
      for (let n = 0; n < 5; n++) await broker.publish('t', String(n), { qos: 1 });
      const present: unknown[] = [];
      for (const id of ['b', 'a']) {
        const client = broker.dial();
        client.send({
          cmd: 'connect',
          protocolId: 'MQTT',
          protocolVersion: 4,
          clean: false,
          keepalive: 0,
          clientId: id,
        });
        present.push((await client.expect('connack'))['sessionPresent']);
        assert.equal(told(await client.drain()), id === 'b' ? ['t=0', 't=1', 't=2'] : []);
      }
      assert.equal(present, [true, false]);
    },
    { limits: { maxSessions: 2, maxQueued: 3 } },
  ),
);

test(
  '[MQTT-3.1.2-8] a will is published when the connection breaks, with its QoS',
  withBroker(async (broker) => {
    for (const qos of [0, 1, 2]) {
      const witness = await broker.login();
      await subscribe(witness, { will: 2 });
      const client = await broker.login(`w${qos}`, will({ qos }));
      assert.equal(await witness.drain(), []);
      client.destroy();
      const packet = await witness.expect('publish');
      assert.equal(
        [packet['topic'], String(packet['payload']), packet['qos'], packet['retain']],
        ['will', 'w', qos, false],
      );
      witness.destroy();
    }
  }),
);

test(
  '[MQTT-3.1.2-10] [MQTT-3.14.4-3] DISCONNECT takes the will with it; it is published at most once',
  withBroker(async (broker) => {
    const witness = await broker.login();
    await subscribe(witness, { will: 0 });
    await leave(await broker.login('w', will()));
    assert.equal(await witness.drain(), []);
    (await broker.login('w', will())).destroy();
    await witness.expect('publish');
    (await broker.login('w')).destroy();
    assert.equal(await witness.drain(), []);
  }),
);

test(
  '[MQTT-3.1.2-12] without a will flag nothing is published when the connection breaks',
  withBroker(async (broker) => {
    const witness = await broker.login();
    await subscribe(witness, { '#': 0 });
    (await broker.login()).destroy();
    assert.equal(await witness.drain(), []);
  }),
);

test(
  '[MQTT-3.1.2-16] [MQTT-3.1.2-17] a will is retained where it says so, and else not',
  withBroker(async (broker) => {
    for (const retain of [false, true]) {
      (await broker.login('w', will({ retain }))).destroy();
      await settle();
      const late = await broker.login();
      await subscribe(late, { will: 0 });
      assert.equal(
        (await late.drain()).map((packet) => packet['retain']),
        retain ? [true] : [],
      );
    }
  }),
);

test(
  '[MQTT-3.14.4-1] after DISCONNECT the server closes, and hears nothing more',
  withBroker(async (broker) => {
    const seen: string[] = [];
    broker.subscribe('#', (topic) => seen.push(topic));
    const client = await broker.login();
    client.send(
      publish('before', ''),
      publish('acknowledged', '', { qos: 1, messageId: 1 }),
      { cmd: 'disconnect' },
      publish('after', ''),
    );
    await client.closed();
    await settle();
    assert.equal(seen, ['before', 'acknowledged']);
    assert.equal(broker.connections(), []);
  }),
);

test(
  'what was sent before the connection ended is taken, also beyond one chunk',
  withBroker(async (broker) => {
    let seen = 0;
    broker.subscribe('t', () => void seen++);
    const client = await broker.login();
    const packets = Array.from({ length: 3_000 }, (_, n) =>
      publish('t', 'x'.repeat(100), { qos: n % 2, messageId: n + 1 }),
    );
    client.send(...packets);
    client.stream.end();
    await client.closed();
    await settle();
    assert.is(seen, 3_000);
  }),
);

test.run();
