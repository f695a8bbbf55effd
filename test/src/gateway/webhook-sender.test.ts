import { Webhook } from 'standardwebhooks';
import type { ServerResponse } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { newWebhookSecret } from '../../../src/gateway/secret-box.ts';
import { SENDER_CLOSED } from '../../../src/gateway/webhook-sender.ts';
import { until } from '../../support/mqtt-wire.ts';
import { type Received, startReceiver } from '../../support/webhook-receiver.ts';
import { box, secret, startSender } from '../../support/webhook-sender.ts';

const headersOf = (headers: object): Record<string, string> => headers as Record<string, string>;

const test = suite('webhook sender');

test('what arrives is the event, signed as Standard Webhooks says, and any change is seen', async () => {
  const receiver = await startReceiver();
  const now = Date.now();
  const body = JSON.stringify({ type: 'execution_completed', data: { text: 'größer ✓' } });
  const { send } = startSender({ clock: () => now });
  assert.equal(await send({ url: `${receiver.url}/a?b=c`, id: 'evt_7', body }), { ok: true, status: 204 });
  const { method, path, headers, body: sent } = receiver.received[0] as Received;
  assert.equal([method, path, sent], ['POST', '/a?b=c', body]);
  assert.equal([headers['content-type'], headers['webhook-id']], ['application/json', 'evt_7']);
  // A connection of its own: a later attempt goes where its own look-up says.
  assert.is(headers.connection, 'close');
  assert.is(headers['webhook-timestamp'], String(Math.floor(now / 1000)));
  assert.match(String(headers['webhook-signature']), /^v1,[A-Za-z0-9+/]{43}=$/);
  const given = headersOf(headers);
  assert.equal(new Webhook(secret).verify(sent, given), JSON.parse(body));
  assert.throws(() => new Webhook(newWebhookSecret()).verify(sent, given));
  assert.throws(() => new Webhook(secret).verify(`${sent} `, given));
  assert.throws(() => new Webhook(secret).verify(sent, { ...given, 'webhook-id': 'evt_8' }));
  const later = String(Math.floor(now / 1000) + 1);
  assert.throws(() => new Webhook(secret).verify(sent, { ...given, 'webhook-timestamp': later }));
  await receiver.close();
});

test('while a secret is rotated, the old and the new one both verify', async () => {
  const receiver = await startReceiver();
  const [old, fresh] = [newWebhookSecret(), newWebhookSecret()];
  await startSender().send({ url: receiver.url, secrets: [fresh, old].map(box.seal) });
  const { headers, body } = receiver.received[0] as Received;
  assert.is(String(headers['webhook-signature']).split(' ').length, 2);
  for (const each of [old, fresh]) new Webhook(each).verify(body, headersOf(headers));
  assert.throws(() => new Webhook(secret).verify(body, headersOf(headers)));
  await receiver.close();
});

test('a 2xx is a success and nothing else', async () => {
  const receiver = await startReceiver((request, response) =>
    response.writeHead(Number(request.url?.slice(1))).end(request.url === '/204' ? '' : 'x'.repeat(1_000)),
  );
  const { send } = startSender();
  for (const status of [200, 201, 204, 299])
    assert.equal(await send({ url: `${receiver.url}/${status}` }), { ok: true, status });
  for (const status of [300, 304, 400, 404, 410, 429, 500, 503]) {
    const reason = status < 400 ? 'redirect_refused' : 'status';
    assert.equal(await send({ url: `${receiver.url}/${status}` }), { ok: false, status, reason, retryAfterMs: null });
  }
  await receiver.close();
});

test('Retry-After of a 429 or 503 is handed on, in its two forms and up to an hour', async () => {
  const now = Date.UTC(2026, 0, 1);
  const date = (ms: number): string => new Date(now + ms).toUTCString();
  const cases: [status: number, value: string, ms: number | null][] = [
    [429, '7', 7_000],
    [503, '0', 0],
    [503, date(90_000), 90_000],
    [503, date(-90_000), 0],
    [429, '86400', 3_600_000],
    [429, date(86_400_000), 3_600_000],
    [429, '9'.repeat(400), 3_600_000],
    [429, 'soon', null],
    [429, '', null],
    [500, '7', null],
    [404, '7', null],
  ];
  let next: (response: ServerResponse) => unknown = () => assert.unreachable();
  const receiver = await startReceiver((_request, response) => void next(response));
  const { send } = startSender({ clock: () => now });
  for (const [status, value, retryAfterMs] of cases) {
    next = (response) => response.writeHead(status, { 'retry-after': value }).end();
    assert.equal(await send({ url: receiver.url }), { ok: false, status, reason: 'status', retryAfterMs }, value);
  }
  await receiver.close();
});

test('a slow endpoint takes its own places and delays no other', async () => {
  const hanging = await startReceiver(() => {});
  const receiver = await startReceiver();
  const { send, close } = startSender({ limits: { perEndpoint: 2, timeoutMs: 30_000 } });
  const ended: string[] = [];
  const slow = Array.from({ length: 20 }, async () => {
    const { ok } = await send({ url: hanging.url, endpoint: 'whk_slow' });
    ended.push(`slow ${ok}`);
  });
  for (let n = 0; n < 5; n += 1) assert.ok((await send({ url: receiver.url, endpoint: 'whk_quick' })).ok);
  await until('both places of the slow one taken', () => hanging.received.length === 2);
  assert.equal(ended, []);
  await close(0);
  await Promise.all(slow);
  assert.equal([hanging.received.length, ended.length], [2, 20]);
  await Promise.all([hanging.close(), receiver.close()]);
});

test('a place is free again after every way to end', async () => {
  let count = 0;
  const receiver = await startReceiver((_request, response) => {
    count += 1;
    if (count % 3 === 0) response.destroy();
    else if (count % 3 === 1) response.writeHead(500).end();
  });
  const { send } = startSender({ limits: { perEndpoint: 1, total: 1, timeoutMs: 100 } });
  const attempts = [receiver.url, 'http://10.0.0.1', receiver.url, 'http://a.example', 'no url', receiver.url];
  const reasons = await Promise.all(attempts.map((url) => send({ url })));
  assert.equal(
    reasons.map((result) => (result.ok ? '' : result.reason)),
    ['status', 'address_refused', 'timed_out', 'address_refused', 'address_refused', 'connection_failed (ECONNRESET)'],
  );
  await receiver.close();
});

test('closing lets what is under way end and sends nothing more', async () => {
  const waiting: ServerResponse[] = [];
  const receiver = await startReceiver((_request, response) => void waiting.push(response));
  const { send, close } = startSender({ limits: { perEndpoint: 1 } });
  const [first, second] = [send({ url: receiver.url }), send({ url: receiver.url })];
  await until('request', () => waiting.length === 1);
  const closed = close(5_000);
  const refused = { ok: false, status: null, reason: SENDER_CLOSED, retryAfterMs: null } as const;
  assert.equal(await second, refused);
  assert.equal(await send({ url: receiver.url, endpoint: 'whk_2' }), refused);
  waiting[0]?.writeHead(200).end();
  assert.equal(await first, { ok: true, status: 200 });
  await closed;
  assert.is(receiver.received.length, 1);
  await receiver.close();
});

test('closing ends what is under way after the grace', async () => {
  const receiver = await startReceiver(() => {});
  const { send, close } = startSender();
  const first = send({ url: receiver.url });
  await until('request', () => receiver.received.length === 1);
  await close(20);
  assert.equal(await first, { ok: false, status: null, reason: SENDER_CLOSED, retryAfterMs: null });
  await receiver.close();
});

test('what cannot be opened or sent is said without a word of the secret', async () => {
  const receiver = await startReceiver();
  const { send } = startSender();
  for (const secrets of [[secret], [box.seal(secret), 'sealed1.AAAA'], [box.seal('no secret!')]]) {
    const result = await send({ url: receiver.url, secrets });
    assert.equal(result, { ok: false, status: null, reason: 'secret_unreadable', retryAfterMs: null });
  }
  assert.equal(await send({ url: receiver.url, id: 'a\r\nb: c' }), {
    ok: false,
    status: null,
    reason: 'failed',
    retryAfterMs: null,
  });
  assert.is(receiver.received.length, 0);
  await receiver.close();
});

test.run();
