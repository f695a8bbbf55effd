/** Retained publications (MQTT 3.1.1, 3.3.1.3). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { publish, settle, subscribe, told, withBroker } from '../support/mqtt-wire.ts';

const test = suite('mqtt retained');

const retain = (topic: string, payload: string, qos: 0 | 1 = 0): object =>
  publish(topic, payload, { retain: true, qos, messageId: 7 });

test(
  '[MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8] the last retained message is sent on a new subscription, with RETAIN 1',
  withBroker(async (broker) => {
    const publisher = await broker.login();
    publisher.send(retain('r/a', '1'), retain('r/a', '2', 1), retain('r/b', '3'), retain('other', '4'));
    await publisher.drain();
    const client = await broker.login();
    await subscribe(client, { 'r/+': 1 });
    const packets = await client.drain();
    assert.equal(told(packets).toSorted(), ['r/a=2', 'r/b=3']);
    assert.equal(packets.map((packet) => `${String(packet['retain'])} ${String(packet['qos'])}`).toSorted(), [
      'true 0',
      'true 1',
    ]);
  }),
);

test(
  '[MQTT-3.3.1-7] a retained message of QoS 0 replaces what was retained',
  withBroker(async (broker) => {
    const client = await broker.login();
    client.send(retain('r', '1', 1), retain('r', '2', 0));
    await client.drain();
    await subscribe(client, { r: 1 });
    assert.equal(told(await client.drain()), ['r=2']);
  }),
);

test(
  '[MQTT-3.3.1-9] to an established subscription a retained message goes with RETAIN 0',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { r: 0 });
    client.send(retain('r', '1'));
    assert.equal(
      (await client.drain()).map((packet) => packet['retain']),
      [false],
    );
  }),
);

test(
  '[MQTT-3.3.1-10] [MQTT-3.3.1-11] an empty retained message is delivered, removes what was retained and is not kept',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { r: 0 });
    client.send(retain('r', '1'), retain('r', ''));
    assert.equal(told(await client.drain()), ['r=1', 'r=']);
    const late = await broker.login();
    await subscribe(late, { '#': 0 });
    assert.equal(await late.drain(), []);
  }),
);

test(
  '[MQTT-3.3.1-12] a message without RETAIN neither replaces nor removes what is retained',
  withBroker(async (broker) => {
    const client = await broker.login();
    client.send(retain('r', '1'), publish('r', '2'), publish('r', ''));
    await subscribe(client, { r: 0 });
    assert.equal(told(await client.drain()), ['r=1']);
  }),
);

test(
  '[MQTT-3.1.2-7] retained messages outlive the session of their publisher',
  withBroker(async (broker) => {
    const publisher = await broker.login();
    publisher.send(retain('r', '1'), { cmd: 'disconnect' });
    await publisher.closed();
    const client = await broker.login();
    await subscribe(client, { r: 0 });
    assert.equal(told(await client.drain()), ['r=1']);
  }),
);

test(
  'retained messages are bounded',
  withBroker(
    async (broker) => {
      const client = await broker.login();
      client.send(retain('a', '1'), retain('b', '1'), retain('c', '1'), retain('a', '2'));
      await subscribe(client, { '#': 0 });
      assert.equal(told(await client.drain()), ['a=2', 'b=1']);
      assert.is(broker.errors.length, 1);
      await settle();
    },
    { limits: { maxRetained: 2 } },
  ),
);

test.run();
