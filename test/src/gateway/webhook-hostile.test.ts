import type { Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createWebhookSender } from '../../../src/gateway/webhook-sender.ts';
import { within } from '../../support/mqtt-wire.ts';
import { startRawReceiver, startReceiver } from '../../support/webhook-receiver.ts';
import { box, secret, startSender } from '../../support/webhook-sender.ts';

/** Writes again and again until the other side is gone. */
const drip =
  (text: string, everyMs: number) =>
  (socket: Socket): void => {
    const timer = setInterval(() => socket.write(text), everyMs);
    socket.on('close', () => clearInterval(timer));
  };

/** Writes as fast as it is taken, until the other side is gone. */
const flood =
  (start: string, text: string) =>
  (socket: Socket): void => {
    const more = (): void => {
      while (!socket.destroyed && socket.write(text));
    };
    socket.on('drain', more).write(start);
    more();
  };

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const BYTES = 'x'.repeat(65_536);

/** What a receiver does with a connection once a request has come, and what is made of it. */
const HOSTILE: readonly [what: string, act: (socket: Socket) => void, status: number | null, reason: string | null][] =
  [
    ['answers and keeps the connection', (socket) => socket.write(`${OK}Content-Length: 2\r\n\r\nok`), 200, null],
    ['never answers', () => {}, null, 'timed_out'],
    ['sends a head and hangs', (socket) => socket.write(`${OK}Content-Length: 5\r\n\r\n`), 200, 'timed_out'],
    ['sends half a head and hangs', (socket) => socket.write(`${OK}Content-`), null, 'timed_out'],
    ['sends a head byte by byte', drip('a', 5), null, 'answer_malformed'],
    ['sends headers one by one', (socket) => (socket.write(OK), drip('a: b\r\n', 5)(socket)), null, 'timed_out'],
    ['sends a body byte by byte', (socket) => (socket.write(CHUNKED), drip('1\r\na\r\n', 5)(socket)), 200, 'timed_out'],
    ['closes at once', (socket) => socket.end(), null, 'connection_failed (ECONNRESET)'],
    ['resets', (socket) => socket.resetAndDestroy(), null, 'connection_failed (ECONNRESET)'],
    ['closes in the head', (socket) => socket.end(`${OK}Content-`), null, 'connection_failed (ECONNRESET)'],
    ['closes in the body', (socket) => socket.end(`${OK}Content-Length: 5\r\n\r\nab`), 200, 'answer_cut_off'],
    ['closes between chunks', (socket) => socket.end(`${CHUNKED}1\r\na\r\n`), 200, 'answer_cut_off'],
    ['speaks no HTTP', (socket) => socket.end('220 mail.example ESMTP\r\n'), null, 'answer_malformed'],
    ['sends a bad chunk', (socket) => socket.write(`${CHUNKED}zz\r\n`), 200, 'answer_malformed'],
    ['sends a huge header', flood(`${OK}a: `, BYTES), null, 'answer_too_large'],
    ['sends headers without end', flood(OK, 'a: b\r\n'.repeat(1_000)), null, 'answer_too_large'],
    [
      'sends interim answers without end',
      flood('', 'HTTP/1.1 103 Early\r\n\r\n'.repeat(1_000)),
      null,
      'answer_too_large',
    ],
    [
      'upgrades unasked',
      (socket) => socket.write('HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
      null,
      'connection_failed',
    ],
    // The status has been said: the rest is not waited for.
    ['sends a body without end', flood(`${OK}Content-Length: 1073741824\r\n\r\n`, BYTES), 200, null],
    ['sends chunks without end', flood(CHUNKED, `1000\r\n${'x'.repeat(4_096)}\r\n`), 200, null],
    ['sends tiny chunks with long extensions', flood(CHUNKED, `1;${'x'.repeat(4_096)}\r\na\r\n`), 200, null],
    ['fails with a body without end', flood(`HTTP/1.1 500 No\r\n\r\n`, BYTES), 500, 'status'],
  ];

/** What both kernels may hold of what was written and never read. */
const BUFFERED = 8 * 1_048_576;

const test = suite('hostile receivers');

for (const [what, act, status, reason] of HOSTILE) {
  test(`a receiver that ${what}`, async () => {
    const gone = Promise.withResolvers<number>();
    const receiver = await startRawReceiver((socket) => {
      socket.on('close', () => gone.resolve(socket.bytesWritten));
      act(socket);
    });
    const { send } = startSender({ limits: { timeoutMs: reason === 'timed_out' ? 150 : 5_000 } });
    const result = await send({ url: receiver.url });
    assert.equal(result, reason === null ? { ok: true, status } : { ok: false, status, reason, retryAfterMs: null });
    assert.ok((await within('end of the connection', gone.promise)) < BUFFERED);
    await receiver.close();
  });
}

test('an answer up to the bound is read whole, whatever its form', async () => {
  const receiver = await startReceiver((_request, response) => void response.writeHead(200).end('x'.repeat(15_000)));
  assert.equal(await startSender().send({ url: receiver.url }), { ok: true, status: 200 });
  await receiver.close();
});

test('a receiver that takes nothing of the request', async () => {
  const receiver = await startRawReceiver((socket) => socket.pause());
  const body = JSON.stringify('x'.repeat(16 * 1_048_576));
  const result = await startSender({ limits: { timeoutMs: 300 } }).send({ url: receiver.url, body });
  assert.equal(result, { ok: false, status: null, reason: 'timed_out', retryAfterMs: null });
  await receiver.close();
});

test('nobody listens', async () => {
  const receiver = await startReceiver();
  await receiver.close();
  const result = await startSender().send({ url: receiver.url });
  assert.equal(result, { ok: false, status: null, reason: 'connection_failed (ECONNREFUSED)', retryAfterMs: null });
});

test('a name server that never answers ends with the attempt', async () => {
  const check = { resolve: () => new Promise<never>(() => {}) };
  const sender = createWebhookSender({ box, check, limits: { timeoutMs: 50 }, clock: Date.now });
  const attempt = { id: 'evt_1', endpoint: 'whk_1', url: 'http://a.example', secrets: [box.seal(secret)], body: '' };
  const result = await within('result', sender.send(attempt));
  assert.equal(result, { ok: false, status: null, reason: 'timed_out', retryAfterMs: null });
});

test.run();
