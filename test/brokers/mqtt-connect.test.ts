/** CONNECT and CONNACK (MQTT 3.1.1, 3.1 and 3.2). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AccessPolicy, openPolicy } from '../../brokers/access.ts';
import { CONNECT, dialTcp, publish, settle, subscribe, told, until, withBroker } from '../support/mqtt-wire.ts';

const test = suite('mqtt connect');

const refusing = (code: 2 | 3 | 4 | 5): AccessPolicy => ({ ...openPolicy, connect: () => ({ ok: false, code }) });

const connack = (packet: Record<string, unknown>): unknown[] => [packet['sessionPresent'], packet['returnCode']];

test(
  '[MQTT-3.1.4-4] [MQTT-3.2.0-1] [MQTT-3.2.2-1] a login is answered by CONNACK 0, and by nothing before',
  withBroker(async (broker) => {
    const client = broker.dial();
    client.send({ ...CONNECT, clientId: 'a' });
    assert.equal(connack(await client.expect('connack')), [false, 0]);
  }),
);

for (const level of [0, 2, 3, 5, 6, 0x84])
  test(
    `[MQTT-3.1.2-2] [MQTT-3.2.2-4] protocol level ${level} is answered by code 1, then closed`,
    withBroker(async (broker) => {
      const client = broker.dial();
      client.send(Buffer.from([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, level, 2, 0, 0, 0, 1, 0x61]));
      assert.equal((await client.closed()).map(connack), [[false, 1]]);
    }),
  );

test(
  'MQTT 3.1 may connect, with an identifier of 1 to 23 characters',
  withBroker(async (broker) => {
    const old = { ...CONNECT, protocolId: 'MQIsdp', protocolVersion: 3 };
    const client = broker.dial();
    client.send({ ...old, clientId: 'x'.repeat(23) });
    assert.equal(connack(await client.expect('connack')), [false, 0]);
    const long = broker.dial();
    long.send({ ...old, clientId: 'x'.repeat(24) });
    assert.equal((await long.closed()).map(connack), [[false, 2]]);
  }),
);

test(
  '[MQTT-3.1.3-5] every character of the alphabet and 23 of them are a client identifier',
  withBroker(async (broker) => {
    const alphabet = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
    for (const clientId of [alphabet.slice(0, 23), alphabet.slice(23, 46), alphabet.slice(39)])
      await broker.login(clientId);
    assert.is(broker.connections().length, 3);
  }),
);

test(
  '[MQTT-3.1.3-6] an empty identifier with a clean session becomes one of its own',
  withBroker(async (broker) => {
    await broker.login('');
    await broker.login('');
    const ids = broker.connections().map(({ clientId }) => clientId);
    assert.is(new Set(ids).size, 2);
    assert.ok(ids.every((id) => id.length > 0));
  }),
);

test(
  '[MQTT-3.1.3-7] [MQTT-3.1.3-8] an empty identifier with a session to keep is answered by code 2, then closed',
  withBroker(async (broker) => {
    const client = broker.dial();
    client.send({ ...CONNECT, clientId: 'x', clean: false });
    client.stream.destroy();
    const empty = broker.dial();
    empty.send(Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0, 0, 0, 0, 0]));
    assert.equal((await empty.closed()).map(connack), [[false, 2]]);
  }),
);

test('[MQTT-3.1.3-9] [MQTT-3.2.2-5] a refused login is answered by its code, then closed', async () => {
  for (const code of [2, 3, 4, 5] as const)
    await withBroker(
      async (broker) => {
        const client = broker.dial();
        client.send({ ...CONNECT, clientId: 'a' });
        assert.equal((await client.closed()).map(connack), [[false, code]]);
        assert.equal(broker.connections(), []);
      },
      { policy: refusing(code) },
    )();
});

test(
  '[MQTT-3.1.4-5] nothing that a rejected client sent after CONNECT is processed',
  withBroker(
    async (broker) => {
      const seen: string[] = [];
      broker.subscribe('#', (topic) => seen.push(topic));
      const client = broker.dial();
      client.send({ ...CONNECT, clientId: 'a' }, publish('t', 'x'), publish('t', 'y', { qos: 1, messageId: 1 }));
      assert.equal(
        (await client.closed()).map(({ cmd }) => cmd),
        ['connack'],
      );
      await settle();
      assert.equal(seen, []);
    },
    { policy: refusing(5) },
  ),
);

test(
  '(3.1.4) a client need not wait for CONNACK: what follows CONNECT in one segment is processed in order',
  withBroker(async (broker) => {
    const client = broker.dial();
    const many = Array.from({ length: 200 }, (_, n) => publish('t', String(n)));
    client.send(
      { ...CONNECT, clientId: 'a' },
      { cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 't', qos: 0 }] },
      ...many,
    );
    await client.expect('connack');
    await client.expect('suback');
    assert.equal(
      told(await client.drain()),
      many.map((_, n) => `t=${n}`),
    );
  }),
);

test(
  '[MQTT-3.1.4-2] [MQTT-3.1.3-2] a second login with the same identifier ends the first, whose will is published',
  withBroker(async (broker) => {
    const witness = await broker.login('witness');
    await subscribe(witness, { will: 0 });
    const first = await broker.login('same', { will: { topic: 'will', payload: 'first', qos: 0, retain: false } });
    const second = await broker.login('same');
    assert.equal(await first.closed(), []);
    assert.equal(told(await witness.drain()), ['will=first']);
    await subscribe(second, { t: 0 });
    second.send(publish('t', 'x'));
    assert.equal(told(await second.drain()), ['t=x']);
    assert.equal(
      broker.connections().map(({ clientId }) => clientId),
      ['witness', 'same'],
    );
  }),
);

test(
  '[MQTT-3.1.4-2] taking over again and again leaves the last one connected',
  withBroker(async (broker) => {
    const logins = await Promise.all(
      Array.from({ length: 20 }, (_, n) => broker.login('same', { clean: n % 2 === 0 })),
    );
    const last = logins.at(-1);
    await Promise.all(logins.slice(0, -1).map((client) => client.closed()));
    await subscribe(last as (typeof logins)[0], { t: 1 });
    assert.is(broker.connections().length, 1);
    last?.send(publish('t', 'x'));
    assert.equal(told((await last?.drain()) ?? []), ['t=x']);
  }),
);

test(
  '[MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] session present says whether a session is resumed',
  withBroker(async (broker) => {
    const present = async (clean: boolean): Promise<unknown> => {
      const client = broker.dial();
      client.send({ ...CONNECT, clientId: 'kept', clean });
      const packet = await client.expect('connack');
      client.send({ cmd: 'disconnect' });
      await client.closed();
      return packet['sessionPresent'];
    };
    assert.equal([await present(false), await present(false)], [false, true]);
    assert.equal([await present(true), await present(false), await present(false)], [false, false, true]);
  }),
);

test(
  '[MQTT-3.1.2-24] a client that is silent for one and a half keep alives is disconnected, and its will published',
  withBroker(async (broker) => {
    const witness = await broker.login();
    await subscribe(witness, { will: 1 });
    const begin = Date.now();
    const client = await broker.login('silent', {
      keepalive: 1,
      will: { topic: 'will', payload: 'w', qos: 0, retain: false },
    });
    await client.closed();
    assert.ok(Date.now() - begin >= 1_450, 'not before its time');
    assert.is((await witness.expect('publish'))['topic'], 'will');
  }),
);

test(
  '[MQTT-3.12.4-1] PINGREQ is answered, and keeps a connection alive',
  withBroker(async (broker) => {
    const client = await broker.login('alive', { keepalive: 1 });
    for (let n = 0; n < 4; n++) {
      await new Promise((resolve) => setTimeout(resolve, 600));
      assert.equal(await client.drain(), []);
    }
    assert.is(client.isClosed, false);
  }),
);

test(
  '(3.1) a connection on which no CONNECT arrives is closed',
  withBroker(
    async (broker) => {
      const { port } = await broker.listenTcp({ host: '127.0.0.1', port: 0 });
      const [silent, begun] = await Promise.all([dialTcp(port), dialTcp(port)]);
      begun.send(Buffer.from([0x10, 20, 0]));
      assert.equal([...(await silent.closed()), ...(await begun.closed())], []);
    },
    { limits: { connectTimeoutMs: 50 } },
  ),
);

test('a policy that never answers, rejects or throws refuses the login', async () => {
  const policies: AccessPolicy['connect'][] = [
    () => new Promise(() => {}),
    () => Promise.reject(new Error('no store')),
    () => {
      throw new Error('a bug');
    },
  ];
  for (const connect of policies)
    await withBroker(
      async (broker) => {
        const client = broker.dial();
        client.send({ ...CONNECT, clientId: 'a' });
        assert.equal((await client.closed()).map(connack), [[false, 3]]);
      },
      { policy: { ...openPolicy, connect }, limits: { connectTimeoutMs: 50 } },
    )();
});

test(
  '(2.2.3) CONNECT beyond 8 KiB is refused by its header alone',
  withBroker(async (broker) => {
    const client = broker.dial();
    client.send(Buffer.from([0x10, 0x80, 0x40]));
    assert.equal(await client.closed(), []);
    const large = await broker.login('large', { username: 'u', password: Buffer.alloc(8_000) });
    assert.equal(await large.drain(), []);
    assert.equal(broker.cuts, ['null: packet of 8195 bytes']);
  }),
);

test(
  'a packet beyond 1 MiB is refused by its header alone; one of 1 MiB passes',
  withBroker(async (broker) => {
    const sizes: number[] = [];
    broker.subscribe('t', (_topic, payload) => sizes.push(payload.length));
    const client = await broker.login('big');
    const largest = 1024 * 1024 - 1 - 3 - 3;
    client.send(publish('t', 'x'.repeat(largest)));
    await until('the large publication', () => sizes.length === 1);
    assert.equal(sizes, [largest]);
    client.send(Buffer.from([0x30, 0xfd, 0xff, 0x3f]));
    assert.equal(await client.closed(), []);
    assert.equal(broker.cuts, ['big: packet of 1048577 bytes']);
  }),
);

test(
  'over TCP the answer to a refused login arrives although the client goes on sending',
  withBroker(async (broker) => {
    const { port } = await broker.listenTcp({ host: '127.0.0.1', port: 0 });
    const five = Buffer.from([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 2, 0, 0, 0, 1, 0x61]);
    for (let round = 0; round < 10; round++) {
      const client = await dialTcp(port);
      client.send(five, Buffer.alloc(200_000));
      assert.equal((await client.closed()).map(connack), [[false, 1]]);
    }
  }),
);

test(
  'connections beyond the bound are closed at once',
  withBroker(
    async (broker) => {
      await broker.login();
      const second = await broker.login();
      const third = broker.dial();
      await third.closed();
      second.destroy();
      await settle();
      await broker.login();
      assert.equal(broker.cuts, ['null: too many connections']);
    },
    { limits: { maxConnections: 2 } },
  ),
);

test.run();
