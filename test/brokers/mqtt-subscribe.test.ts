/** SUBSCRIBE, UNSUBSCRIBE and how filters match (MQTT 3.1.1, 3.8 to 3.11, 4.7). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openPolicy } from '../../brokers/access.ts';
import { publish, subscribe, told, withBroker } from '../support/mqtt-wire.ts';

const test = suite('mqtt subscribe');

const wanted = (...filters: readonly (readonly [string, number])[]): object[] =>
  filters.map(([topic, qos]) => ({ topic, qos }));

test(
  '[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.3.1-7] SUBSCRIBE is answered by SUBACK with its identifier',
  withBroker(async (broker) => {
    const client = await broker.login();
    for (const messageId of [1, 300, 65_535]) {
      client.send({ cmd: 'subscribe', messageId, subscriptions: wanted(['t', 0]) });
      assert.is((await client.expect('suback')).messageId, messageId);
    }
  }),
);

test(
  '[MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2] one SUBACK has a code for each filter, in order',
  withBroker(
    async (broker) => {
      const client = await broker.login();
      client.send({
        cmd: 'subscribe',
        messageId: 4,
        subscriptions: wanted(['a', 2], ['no', 1], ['b', 0], ['c', 1], ['no', 0]),
      });
      assert.equal((await client.expect('suback'))['granted'], [2, 128, 0, 1, 128]);
      client.send(publish('a', '1'), publish('b', '2'), publish('c', '3'), publish('no', '4'));
      assert.equal(told(await client.drain()), ['a=1', 'b=2', 'c=3']);
    },
    { policy: { ...openPolicy, subscribe: (_client, filter) => filter !== 'no' } },
  ),
);

test(
  '[MQTT-3.8.4-5] a filter asked for twice in a packet has two codes, and the last one holds',
  withBroker(async (broker) => {
    const client = await broker.login();
    client.send({ cmd: 'subscribe', messageId: 4, subscriptions: wanted(['a', 0], ['b', 2], ['a', 1], ['a', 1]) });
    const suback = await client.expect('suback');
    assert.is((suback['granted'] as number[]).length, 4);
    assert.is((suback['granted'] as number[])[1], 2);
    void broker.publish('a', 'x', { qos: 1 });
    assert.equal(
      (await client.drain()).map((packet) => packet['qos']),
      [1],
    );
    const many = Array.from({ length: 90 }, (_, n) => ({ topic: `f${n % 45}`, qos: n % 3 }));
    client.send({ cmd: 'subscribe', messageId: 5, subscriptions: many });
    assert.is(((await client.expect('suback'))['granted'] as number[]).length, 90);
  }),
);

test(
  '[MQTT-3.8.4-3] the same filter again replaces the subscription, and retained messages are sent again',
  withBroker(async (broker) => {
    const client = await broker.login();
    client.send(publish('t', 'kept', { retain: true }));
    await client.drain();
    await subscribe(client, { t: 0 });
    assert.equal(told(await client.drain()), ['t=kept']);
    await subscribe(client, { t: 1 }, 2);
    assert.equal(told(await client.drain()), ['t=kept']);
    await broker.publish('t', 'x', { qos: 1 });
    assert.equal(
      (await client.drain()).map((packet) => packet['qos']),
      [1],
    );
    await subscribe(client, { t: 0 }, 3);
    await client.drain();
    await broker.publish('t', 'x', { qos: 1 });
    assert.equal(
      (await client.drain()).map((packet) => packet['qos']),
      [0],
    );
  }),
);

test(
  '[MQTT-3.8.4-3] the flow of messages is not interrupted while a subscription is replaced',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { t: 0 });
    for (let n = 0; n < 60; n++) {
      void broker.publish('t', String(n));
      client.send({ cmd: 'subscribe', messageId: n + 1, subscriptions: wanted(['t', n % 2]) });
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(
      told(await client.drain()),
      Array.from({ length: 60 }, (_, n) => `t=${n}`),
    );
  }),
);

test(
  '[MQTT-3.10.4-1] UNSUBSCRIBE takes out the filter that is the same, character by character',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { 'a/+': 0, 'a/b': 0 });
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a/#', 'A/+', 'a/b/', 'a/b'] });
    await client.expect('unsuback');
    client.send(publish('a/b', '1'));
    assert.equal(told(await client.drain()), ['a/b=1']);
    client.send({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['a/+'] }, publish('a/b', '2'));
    assert.equal(
      (await client.drain()).map(({ cmd }) => cmd),
      ['unsuback'],
    );
  }),
);

test(
  '[MQTT-3.10.4-2] after UNSUBACK no new message is sent',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { t: 1 });
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['t'] });
    await client.expect('unsuback');
    await broker.publish('t', 'x', { qos: 1 });
    assert.equal(await client.drain(), []);
    assert.is(broker.watched('t'), false);
  }),
);

test(
  '[MQTT-3.10.4-3] a message of QoS 2 that is under way is completed after UNSUBSCRIBE',
  withBroker(async (broker) => {
    const publisher = await broker.login();
    const client = await broker.login();
    await subscribe(client, { t: 2 });
    publisher.send(publish('t', 'x', { qos: 2, messageId: 1 }));
    const { messageId } = await client.expect('publish');
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['t'] });
    await client.expect('unsuback');
    client.send({ cmd: 'pubrec', messageId });
    assert.is((await client.expect('pubrel')).messageId, messageId);
  }),
);

test(
  '[MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] UNSUBSCRIBE is answered by one UNSUBACK with its identifier, known filters or not',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { a: 0, b: 0 });
    client.send(
      { cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['never'] },
      { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a', 'never', 'b', 'a'] },
    );
    assert.equal(
      (await client.drain()).map(({ cmd, messageId }) => [cmd, messageId]),
      [
        ['unsuback', 9],
        ['unsuback', 10],
      ],
    );
    client.send(publish('a', 'x'), publish('b', 'x'));
    assert.equal(await client.drain(), []);
  }),
);

const MATCHES: readonly (readonly [clause: string, filter: string, yes: readonly string[], no: readonly string[]])[] = [
  [
    '[MQTT-4.7.1-2]',
    'sport/tennis/#',
    ['sport/tennis', 'sport/tennis/', 'sport/tennis/p/1'],
    ['sport', 'sport/tennisx'],
  ],
  ['[MQTT-4.7.1-2]', '#', ['a', '/', '/a', 'a//b'], []],
  ['[MQTT-4.7.1-2]', 'a/#', ['a', 'a/', 'a//'], ['/a', 'b/a']],
  ['[MQTT-4.7.1-3]', 'sport/tennis/+', ['sport/tennis/p1', 'sport/tennis/'], ['sport/tennis', 'sport/tennis/p1/r']],
  ['[MQTT-4.7.1-3]', '+', ['a'], ['/a', 'a/', 'a/b', '/']],
  ['[MQTT-4.7.1-3]', '+/+', ['a/b', '/a', 'a/', '/'], ['a', 'a/b/c']],
  ['[MQTT-4.7.1-3]', '/+', ['/a', '/'], ['a', 'a/b']],
  ['[MQTT-4.7.1-3]', '+/tennis/#', ['a/tennis', '/tennis/x'], ['tennis']],
  ['[MQTT-4.7.1-3]', 'a/+/+/d', ['a/b/c/d', 'a///d'], ['a/b/d', 'a/b/c/d/e']],
  ['[MQTT-4.7.2-1]', '#', ['a$'], ['$SYS', '$SYS/a', '$a', '$/b']],
  ['[MQTT-4.7.2-1]', '+/monitor', ['a/monitor', '/monitor'], ['$SYS/monitor', '$a/monitor']],
  ['[MQTT-4.7.2-1]', '$a/#', ['$a', '$a/b'], ['a']],
  ['[MQTT-4.7.2-1]', '$a/monitor/+', ['$a/monitor/c'], ['$a/monitor']],
  ['[MQTT-4.7.3-4]', 'Accounts', ['Accounts'], ['accounts', 'ACCOUNTS', 'Accounts/']],
];

for (const [clause, filter, yes, no] of MATCHES)
  test(
    `${clause} ${filter} matches ${yes.join(' ')}${no.length > 0 ? ` and not ${no.join(' ')}` : ''}, live and retained`,
    withBroker(async (broker) => {
      const client = await broker.login();
      await subscribe(client, { [filter]: 0 });
      for (const topic of [...yes, ...no]) void broker.publish(topic, 'x');
      assert.equal(
        told(await client.drain()),
        yes.map((topic) => `${topic}=x`),
      );
      const publisher = await broker.login();
      for (const topic of [...yes, ...no]) publisher.send(publish(topic, 'x', { retain: true }));
      await publisher.drain();
      const late = await broker.login();
      await subscribe(late, { [filter]: 0 });
      assert.equal(told(await late.drain()).toSorted(), yes.map((topic) => `${topic}=x`).toSorted());
    }),
  );

test(
  '$share is refused: it is no part of MQTT 3.1.1',
  withBroker(async (broker) => {
    const client = await broker.login();
    assert.equal((await subscribe(client, { '$share/g/t': 1 }))['granted'], [128]);
  }),
);

test(
  'the server says nothing on $SYS, and nobody else may',
  withBroker(async (broker) => {
    const client = await broker.login();
    assert.equal((await subscribe(client, { '$SYS/#': 0 }))['granted'], [0]);
    (await broker.login()).send({ cmd: 'disconnect' });
    client.send(publish('$SYS/x', 'y'));
    assert.equal(await client.drain(), []);
  }),
);

test(
  'filters beyond the bound are refused; one that is held may be replaced, and one that is given up makes room',
  withBroker(
    async (broker) => {
      const client = await broker.login();
      assert.equal((await subscribe(client, { a: 0, b: 0, c: 0 }))['granted'], [0, 0, 128]);
      assert.equal((await subscribe(client, { a: 1 }))['granted'], [1]);
      client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
      await client.expect('unsuback');
      assert.equal((await subscribe(client, { c: 0 }))['granted'], [0]);
    },
    { limits: { maxFilters: 2 } },
  ),
);

test(
  'a topic and a filter of 101 levels close the connection; 100 pass',
  withBroker(async (broker) => {
    const deep = 'x/'.repeat(99);
    const client = await broker.login();
    await subscribe(client, { [`${deep}#`]: 0 });
    client.send(publish(`${deep}x`, 'y'));
    await client.expect('publish');
    client.send(publish(`${deep}x/x`, 'y'));
    await client.closed();
  }),
);

test.run();
