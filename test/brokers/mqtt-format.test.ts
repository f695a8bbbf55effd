/** Packets that MQTT 3.1.1 makes a server close the connection for, each named with the clause that says so. */
import { generate } from 'mqtt-packet';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CONNECT, dialTcp, publish, settle, subscribe, told, withBroker } from '../support/mqtt-wire.ts';

const test = suite('mqtt format');

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const field = (bytes: Uint8Array | string): Buffer => {
  const body = Buffer.from(bytes as string);
  return Buffer.concat([Buffer.from([body.length >> 8, body.length & 255]), body]);
};
const packet = (first: number, ...body: Uint8Array[]): Buffer => {
  const bytes = Buffer.concat(body);
  if (bytes.length > 127) throw new Error('a short packet is meant');
  return Buffer.concat([Buffer.from([first, bytes.length]), bytes]);
};
const ID = hex('00 01');
const connect = (flags: number, ...fields: Uint8Array[]): Buffer =>
  packet(0x10, field('MQTT'), Buffer.from([4, flags, 0, 0]), ...fields);
const LOGIN = connect(2, field('c'));

/** After a login. */
const AFTER: Readonly<Record<string, Uint8Array>> = {
  '[MQTT-1.5.3-1] a topic with a UTF-8 surrogate': packet(0x30, field(hex('61 ed a0 80'))),
  '[MQTT-1.5.3-1] a topic with an overlong encoding': packet(0x30, field(hex('c0 80'))),
  '[MQTT-1.5.3-1] a topic cut off in a character': packet(0x30, field(hex('61 e2 82'))),
  '[MQTT-1.5.3-2] a topic with U+0000': packet(0x30, field('a\0b')),
  '[MQTT-2.2.2-2] PUBACK with a flag': packet(0x41, ID),
  '[MQTT-2.2.2-2] PUBREC with a flag': packet(0x52, ID),
  '[MQTT-2.2.2-2] PUBCOMP with a flag': packet(0x72, ID),
  '[MQTT-2.2.2-2] PINGREQ with a flag': packet(0xc1),
  '[MQTT-2.3.1-1] PUBLISH of QoS 1 with identifier 0': packet(0x32, field('t'), hex('00 00')),
  '[MQTT-2.3.1-1] PUBLISH of QoS 2 with identifier 0': packet(0x34, field('t'), hex('00 00')),
  '[MQTT-2.3.1-1] SUBSCRIBE with identifier 0': packet(0x82, hex('00 00'), field('t'), hex('00')),
  '[MQTT-2.3.1-1] UNSUBSCRIBE with identifier 0': packet(0xa2, hex('00 00'), field('t')),
  '[MQTT-3.1.0-2] a second CONNECT': LOGIN,
  '[MQTT-3.3.1-2] DUP with QoS 0': packet(0x38, field('t')),
  '[MQTT-3.3.1-4] PUBLISH with QoS 3': packet(0x36, field('t'), ID),
  '[MQTT-3.3.2-1] PUBLISH without a topic name': packet(0x30),
  '[MQTT-3.3.2-2] PUBLISH to a topic with #': packet(0x30, field('a/#')),
  '[MQTT-3.3.2-2] PUBLISH to a topic with +': packet(0x30, field('+/a')),
  '[MQTT-3.6.1-1] PUBREL without its flags': packet(0x60, ID),
  '[MQTT-3.8.1-1] SUBSCRIBE without its flags': packet(0x80, ID, field('t'), hex('00')),
  '[MQTT-3.8.3-1] SUBSCRIBE with a filter that is not UTF-8': packet(0x82, ID, field(hex('ff')), hex('00')),
  '[MQTT-3.8.3-3] SUBSCRIBE without a filter': packet(0x82, ID),
  '[MQTT-3-8.3-4] SUBSCRIBE with QoS 3': packet(0x82, ID, field('t'), hex('03')),
  '[MQTT-3-8.3-4] SUBSCRIBE with reserved bits': packet(0x82, ID, field('t'), hex('04')),
  '[MQTT-3.10.1-1] UNSUBSCRIBE without its flags': packet(0xa0, ID, field('t')),
  '[MQTT-3.10.3-1] UNSUBSCRIBE with a filter that is not UTF-8': packet(0xa2, ID, field(hex('ff'))),
  '[MQTT-3.10.3-2] UNSUBSCRIBE without a filter': packet(0xa2, ID),
  '[MQTT-3.14.1-1] DISCONNECT with a flag': packet(0xe1),
  '[MQTT-4.7.1-1] PUBLISH to a topic with a wildcard inside': packet(0x30, field('a/b+c')),
  '[MQTT-4.7.1-2] a filter with # not last': packet(0x82, ID, field('a/#/b'), hex('00')),
  '[MQTT-4.7.1-2] a filter with # beside characters': packet(0x82, ID, field('a#'), hex('00')),
  '[MQTT-4.7.1-3] a filter with + after characters': packet(0x82, ID, field('a+'), hex('00')),
  '[MQTT-4.7.1-3] a filter with + before characters': packet(0x82, ID, field('a/+b'), hex('00')),
  '[MQTT-4.7.3-1] an empty topic': packet(0x30, field('')),
  '[MQTT-4.7.3-1] an empty filter': packet(0x82, ID, field(''), hex('00')),
  '[MQTT-4.7.3-1] an empty filter to unsubscribe': packet(0xa2, ID, field('')),
  '[MQTT-4.7.3-2] a filter with U+0000': packet(0x82, ID, field('a\0'), hex('00')),
  '[MQTT-4.8.0-1] packet type 0': packet(0x00),
  '[MQTT-4.8.0-1] packet type 15': packet(0xf0),
  '[MQTT-4.8.0-1] CONNACK from a client': packet(0x20, hex('00 00')),
  '[MQTT-4.8.0-1] SUBACK from a client': packet(0x90, ID, hex('00')),
  '[MQTT-4.8.0-1] UNSUBACK from a client': packet(0xb0, ID),
  '[MQTT-4.8.0-1] PINGRESP from a client': packet(0xd0),
  '(2.2.3) a remaining length of five bytes': hex('30 ff ff ff ff 01'),
  '(3.3) a topic longer than its packet': packet(0x30, hex('00 09 61')),
  '(3.4) PUBACK of three bytes': packet(0x40, ID, hex('00')),
  '(3.4) PUBACK without an identifier': packet(0x40),
  '(3.6) PUBREL of one byte': packet(0x62, hex('01')),
  '(3.8) SUBSCRIBE whose last filter has no QoS': packet(0x82, ID, field('t')),
  '(3.10) UNSUBSCRIBE with half a filter': packet(0xa2, ID, hex('00 05 61')),
  '(3.12) PINGREQ with a body': packet(0xc0, hex('00')),
  '(3.14) DISCONNECT with a body': packet(0xe0, hex('00')),
};

for (const [name, bytes] of Object.entries(AFTER))
  test(
    `${name} closes the connection, and the client's will is published`,
    withBroker(async (broker) => {
      const witness = await broker.login();
      await subscribe(witness, { will: 0 });
      const client = await broker.login('bad', { will: { topic: 'will', payload: 'gone', qos: 0, retain: false } });
      client.send(bytes);
      assert.equal(await client.closed(), []);
      assert.is((await witness.expect('publish'))['topic'], 'will');
      assert.is(broker.cuts.length, 1);
      assert.equal(broker.errors, []);
    }),
  );

/** Instead of a login. */
const BEFORE: Readonly<Record<string, Uint8Array>> = {
  '[MQTT-3.1.0-1] PUBLISH first': packet(0x30, field('t')),
  '[MQTT-3.1.0-1] SUBSCRIBE first': packet(0x82, ID, field('t'), hex('00')),
  '[MQTT-3.1.0-1] PINGREQ first': packet(0xc0),
  '[MQTT-3.1.0-1] DISCONNECT first': packet(0xe0),
  '[MQTT-2.2.2-2] CONNECT with a flag': Buffer.concat([hex('11'), LOGIN.subarray(1)]),
  '[MQTT-3.1.2-1] another protocol name': packet(0x10, field('MQTT5'), hex('04 02 00 00'), field('c')),
  '[MQTT-3.1.2-3] the reserved CONNECT flag': connect(3, field('c')),
  '[MQTT-3.1.2-9] a will flag without a will': connect(6, field('c')),
  '[MQTT-3.1.2-11] will fields without the flag': connect(2, field('c'), field('t'), field('m')),
  '[MQTT-3.1.2-13] a will QoS without a will': connect(10, field('c')),
  '[MQTT-3.1.2-14] will QoS 3': connect(0x1e, field('c'), field('t'), field('m')),
  '[MQTT-3.1.2-15] will retain without a will': connect(0x22, field('c')),
  '[MQTT-3.1.2-18] a user name without its flag': connect(2, field('c'), field('u')),
  '[MQTT-3.1.2-19] a user name flag without one': connect(0x82, field('c')),
  '[MQTT-3.1.2-20] a password without its flag': connect(0x82, field('c'), field('u'), field('p')),
  '[MQTT-3.1.2-21] a password flag without one': connect(0xc2, field('c'), field('u')),
  '[MQTT-3.1.2-22] a password without a user name': connect(0x42, field('c'), field('p')),
  '[MQTT-3.1.3-3] no client identifier field': connect(2),
  '[MQTT-3.1.3-4] a client identifier that is not UTF-8': connect(2, field(hex('c3 28'))),
  '[MQTT-1.5.3-2] a client identifier with U+0000': connect(2, field('a\0')),
  '[MQTT-3.1.3-10] a will topic that is not UTF-8': connect(6, field('c'), field(hex('ff')), field('m')),
  '[MQTT-3.3.2-2] a will topic with a wildcard': connect(6, field('c'), field('a/#'), field('m')),
  '[MQTT-3.1.3-11] a user name that is not UTF-8': connect(0x82, field('c'), field(hex('ff'))),
  '[MQTT-3.1.4-1] CONNECT cut off in its header': packet(0x10, field('MQTT'), hex('04 02')),
  '(2.2.3) CONNECT of more than four bytes of length': hex('10 80 80 80 80 01'),
};

for (const [name, bytes] of Object.entries(BEFORE))
  test(
    `${name} closes the connection without CONNACK`,
    withBroker(async (broker) => {
      const client = broker.dial();
      client.send(bytes);
      assert.equal(await client.closed(), []);
      assert.is(broker.cuts.length, 1);
      assert.equal(broker.connections(), []);
    }),
  );

test(
  '[MQTT-1.5.3-3] U+FEFF is kept wherever it stands',
  withBroker(async (broker) => {
    const client = await broker.login();
    await subscribe(client, { '\ufeffa': 0 });
    client.send(publish('\ufeffa', 'x'), publish('a', 'y'));
    assert.equal(told(await client.drain()), ['\ufeffa=x']);
  }),
);

test(
  'a packet may arrive byte by byte',
  withBroker(async (broker) => {
    const client = broker.dial();
    for (const said of [
      { ...CONNECT, clientId: 'slow' },
      { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] },
      publish('a', 'x'.repeat(300)),
    ])
      for (const byte of generate(said as never)) {
        client.send(Buffer.from([byte]));
        await settle(1);
      }
    await client.expect('connack');
    await client.expect('suback');
    assert.is(String((await client.expect('publish'))['payload']), 'x'.repeat(300));
  }),
);

test(
  'the same over TCP: a valid packet before a violation is taken, what follows is not',
  withBroker(async (broker) => {
    const seen: string[] = [];
    broker.subscribe('#', (topic) => seen.push(topic));
    const { port } = await broker.listenTcp({ host: '127.0.0.1', port: 0 });
    const client = await dialTcp(port);
    client.send(LOGIN, publish('first', ''), packet(0x30, field('a/+')), publish('second', ''));
    assert.equal(
      (await client.closed()).map(({ cmd }) => cmd),
      ['connack'],
    );
    await settle();
    assert.equal(seen, ['first']);
  }),
);

test.run();
