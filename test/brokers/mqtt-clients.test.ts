/** Clients that others wrote: Mosquitto's and mqtt.js, over TCP and over WebSocket. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connectAsync, type MqttClient } from 'mqtt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { WebSocket } from 'ws';
import { hasMosquitto, program } from '../support/mqtt-programs.ts';
import { type TestBroker, until, withBroker, within } from '../support/mqtt-wire.ts';

const test = suite('mqtt clients');

const listen = async (broker: TestBroker): Promise<string> =>
  String((await broker.listenTcp({ host: '127.0.0.1', port: 0 })).port);

if (hasMosquitto()) {
  for (const qos of ['0', '1', '2'])
    test(
      `mosquitto_pub and mosquitto_sub at QoS ${qos}: every line, in order`,
      withBroker(async (broker) => {
        const port = await listen(broker);
        const lines = Array.from({ length: 300 }, (_, n) => `line ${n}`);
        const sub = program('mosquitto_sub', ['-p', port, '-t', 'm/+', '-q', qos, '-C', '300', '-W', '20']);
        await until('the subscription', () => broker.watched('m/x'));
        const pub = program('mosquitto_pub', ['-p', port, '-t', 'm/x', '-q', qos, '-l'], `${lines.join('\n')}\n`);
        assert.is((await pub.ended()).code, 0);
        assert.equal((await sub.ended()).out.trim().split('\n'), lines);
        assert.equal(broker.cuts, []);
      }),
    );

  test(
    'mosquitto: a retained message, a will and a kept session',
    withBroker(async (broker) => {
      const port = await listen(broker);
      await program('mosquitto_pub', ['-p', port, '-t', 'r', '-m', 'kept', '-r']).ended();
      assert.is((await program('mosquitto_sub', ['-p', port, '-t', 'r', '-C', '1', '-W', '10']).ended()).out, 'kept\n');

      const wills = program('mosquitto_sub', ['-p', port, '-t', 'w', '-C', '1', '-W', '10']);
      await until('the subscription', () => broker.watched('w'));
      const dying = program('mosquitto_sub', [
        '-p',
        port,
        '-i',
        'dying',
        '-t',
        'x',
        '--will-topic',
        'w',
        '--will-payload',
        'gone',
      ]);
      await until('the login', () => broker.connections().some(({ clientId }) => clientId === 'dying'));
      dying.child.kill('SIGKILL');
      assert.is((await wills.ended()).out, 'gone\n');

      const session = ['-p', port, '-i', 'session', '-c', '-q', '1', '-t', 's'];
      await program('mosquitto_sub', [...session, '-E']).ended();
      await program('mosquitto_pub', ['-p', port, '-t', 's', '-q', '1', '-m', 'while away']).ended();
      assert.is((await program('mosquitto_sub', [...session, '-C', '1', '-W', '10']).ended()).out, 'while away\n');
    }),
  );

  test(
    'mosquitto: MQTT 3.1 connects, MQTT 5 is told that its version is not served',
    withBroker(async (broker) => {
      const port = await listen(broker);
      assert.is(
        (await program('mosquitto_pub', ['-V', 'mqttv31', '-p', port, '-t', 't', '-m', 'x', '-q', '1']).ended()).code,
        0,
      );
      const five = await program('mosquitto_pub', ['-V', '5', '-p', port, '-t', 't', '-m', 'x']).ended();
      assert.is.not(five.code, 0);
    }),
  );
} else test.skip('mosquitto-clients are not installed', () => {});

/** An HTTP server with MQTT at /mqtt. */
const withWeb = (body: (broker: TestBroker, port: number) => Promise<void>) =>
  withBroker(async (broker) => {
    const server: Server = createServer((_request, response) => response.writeHead(404).end());
    broker.acceptWebSocket(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      await body(broker, (server.address() as AddressInfo).port);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

const transports: Readonly<
  Record<string, (body: (broker: TestBroker, url: string) => Promise<void>) => () => Promise<void>>
> = {
  TCP: (body) => withBroker(async (broker) => body(broker, `mqtt://127.0.0.1:${await listen(broker)}`)),
  WebSocket: (body) => withWeb((broker, port) => body(broker, `ws://127.0.0.1:${port}/mqtt`)),
};

const join = (url: string, options: object = {}): Promise<MqttClient> =>
  within('login', connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0, connectTimeout: 5_000, ...options }));

for (const [name, over] of Object.entries(transports)) {
  test(
    `mqtt.js over ${name}: all three QoS, both ways`,
    over(async (broker, url) => {
      const client = await join(url, { clientId: 'js' });
      const got: string[] = [];
      client.on('message', (topic, payload, { qos }) => got.push(`${topic} ${qos} ${payload.toString()}`));
      await within('suback', client.subscribeAsync('j/#', { qos: 2 }));
      for (const qos of [0, 1, 2] as const)
        await within('acknowledgement', client.publishAsync(`j/${qos}`, 'x', { qos }));
      await broker.publish('j/server', 'y', { qos: 1 });
      await until('four messages', () => got.length === 4);
      assert.equal(got, ['j/0 0 x', 'j/1 1 x', 'j/2 2 x', 'j/server 1 y']);
      await client.endAsync();
    }),
  );

  test(
    `mqtt.js over ${name}: large messages and many of them`,
    over(async (broker, url) => {
      const client = await join(url);
      const sizes: number[] = [];
      client.on('message', (_topic, payload) => sizes.push(payload.length));
      await within('suback', client.subscribeAsync('big', { qos: 1 }));
      const sent = [1, 200_000, 1_000_000, 3, 70_000];
      await within(
        'acknowledgements',
        Promise.all(sent.map((size) => client.publishAsync('big', Buffer.alloc(size), { qos: 1 }))),
      );
      await until('all of them', () => sizes.length === sent.length);
      assert.equal(sizes, sent);
      sizes.length = 0;
      for (let n = 0; n < 2_000; n++) client.publish('big', Buffer.alloc(50));
      await until('the small ones', () => sizes.length === 2_000);
      assert.equal(broker.cuts, []);
      await client.endAsync();
    }),
  );

  test(
    `mqtt.js over ${name}: a will after the connection broke`,
    over(async (broker, url) => {
      const wills: string[] = [];
      broker.subscribe('w', (_topic, payload) => wills.push(String(payload)));
      const client = await join(url, { will: { topic: 'w', payload: Buffer.from('gone'), qos: 1, retain: false } });
      client.stream.destroy();
      await until('the will', () => wills.length === 1);
      assert.equal(wills, ['gone']);
      await client.endAsync(true);
    }),
  );
}

const CONNECT = Buffer.from([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 1, 0x61]);

const webSocket = async (port: number, protocols: readonly string[]): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, [...protocols]);
  await within('the upgrade', once(socket, 'open'));
  return socket;
};

test(
  '[MQTT-6.0.0-4] the server chooses the subprotocol mqtt',
  withWeb(async (_broker, port) => {
    for (const [offered, chosen] of [
      [['mqtt'], 'mqtt'],
      [['other', 'mqtt'], 'mqtt'],
      [['mqttv3.1'], 'mqttv3.1'],
      [['mqttv3.1', 'mqtt'], 'mqtt'],
    ] as const) {
      const socket = await webSocket(port, offered);
      assert.is(socket.protocol, chosen);
      socket.terminate();
    }
  }),
);

test(
  '[MQTT-6.0.0-3] an upgrade without the subprotocol, or to another path, is refused',
  withWeb(async (_broker, port) => {
    const refusal = async (path: string, protocols: string[]): Promise<unknown> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols);
      socket.on('error', () => {});
      const [, response] = await within('a refusal', once(socket, 'unexpected-response'));
      socket.terminate();
      return response.statusCode;
    };
    assert.equal(
      [await refusal('/mqtt', []), await refusal('/mqtt', ['other']), await refusal('/else', ['mqtt'])],
      [400, 400, 404],
    );
  }),
);

test(
  '[MQTT-6.0.0-1] a text frame closes the connection, and nothing in it is heard',
  withWeb(async (broker, port) => {
    const socket = await webSocket(port, ['mqtt']);
    socket.on('error', () => {});
    socket.send(CONNECT.toString('latin1'), { binary: false });
    await within('close', once(socket, 'close'));
    assert.equal(broker.connections(), []);
  }),
);

test(
  '[MQTT-6.0.0-2] packets may be cut over frames and joined in one',
  withWeb(async (broker, port) => {
    const seen: string[] = [];
    broker.subscribe('#', (topic) => seen.push(topic));
    const socket = await webSocket(port, ['mqtt']);
    const answers: Buffer[] = [];
    socket.on('message', (data) => answers.push(data as Buffer));
    const publish = Buffer.from([0x30, 3, 0, 1, 0x74]);
    for (const byte of CONNECT) socket.send(Buffer.from([byte]));
    socket.send(Buffer.concat([publish, publish, publish.subarray(0, 2)]));
    socket.send(Buffer.concat([publish.subarray(2), Buffer.from([0xc0, 0])]));
    await until('PINGRESP', () => Buffer.concat(answers).length === 6);
    assert.equal(seen, ['t', 't', 't']);
    assert.is(Buffer.concat(answers).toString('hex'), '20020000d000');
    socket.terminate();
  }),
);

test.run();
