import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openEventReceiver } from '../support/event-receiver.ts';
import { createWorkspace, eventually, type Json } from '../support/server.ts';

/** Contract, section 9, with real servers, sockets and `kill -9`. */
const test = suite('webhooks');

/** Deliveries that are pending as the process is killed, at least. */
const PENDING = Number(process.env['ARBOR_HOOKS'] ?? 300);
const LANES = 16;

const settings = { commands: ['no-op', 'talk'], webhooks: { allow: ['127.0.0.1/32'] } };

test('every event of a session arrives signed, in the log’s own words', async () => {
  await using space = createWorkspace();
  await using receiver = await openEventReceiver();
  const server = await space.serve({ config: space.config(settings) });
  const opened = await server.call('POST', '/v1/sessions', {
    body: { client: { type: 'cli' }, webhook_url: receiver.url },
  });
  assert.is(opened.status, 201, opened.text);
  const { session_id, webhook } = opened.body;
  assert.match(webhook.secret, /^whsec_/);
  await server.execute(session_id, { command: 'talk', args: { progress: 5, chunks: 3 } }, 'wait=30');
  const log = await server.events(session_id);
  await eventually('all of it', () => receiver.received().length >= log.length);
  const calls = receiver.received().toSorted((a, b) => a.event.seq - b.event.seq);
  assert.equal(
    calls.map(({ event }) => event),
    log,
  );
  assert.is(new Set(calls.map(({ id }) => id)).size, log.length);
  assert.ok(calls.every((call) => call.verifies(webhook.secret)));

  const closed = await server.call('DELETE', `/v1/sessions/${session_id}`);
  assert.is(closed.status, 200);
  await eventually('the end', () => receiver.received().some(({ event }) => event.type === 'session_closed'));
  await eventually('the end of the webhook', async () => {
    const { items } = (await server.call('GET', `/v1/sessions/${session_id}/webhooks`)).body as Json;
    return items[0].status === 'ended';
  });
  assert.is(await server.stop(), 0);
});

test('what a receiver refused before kill -9 arrives after it, each event under one id', async () => {
  await using space = createWorkspace();
  await using receiver = await openEventReceiver();
  const config = space.config(settings);
  let server = await space.serve({ config });
  const { session_id } = await server.open();
  const path = `/v1/sessions/${session_id}/webhooks`;
  const created = await server.call('POST', path, { body: { url: receiver.url } });
  assert.is(created.status, 201, created.text);
  const { webhook_id, secret } = created.body;
  receiver.answer(500);
  for (let n = 0; n < 20; n++) await server.execute(session_id, { command: 'no-op', args: { value: n } }, 'wait=30');
  await eventually('first attempts', () => receiver.received().length >= 20);
  await server.kill();
  const before = receiver.received().length;
  receiver.answer(200);
  server = await space.serve({ config });
  const log = (await server.events(session_id)).filter(({ seq }) => seq > 2);
  const good = () => receiver.received().slice(before);
  await eventually('all of it', () => new Set(good().map(({ event }) => event.seq)).size >= log.length);
  const ids = new Map<number, string>();
  for (const { id, event } of receiver.received()) {
    assert.is(ids.get(event.seq) ?? id, id, `event ${event.seq} has one id`);
    ids.set(event.seq, id);
  }
  assert.is(new Set(ids.values()).size, ids.size);
  assert.ok(good().every((call) => call.verifies(secret)));
  await eventually('nothing is pending', async () => {
    const { items } = (await server.call('GET', path)).body as Json;
    return items[0].pending === 0;
  });
  const { items, next } = (await server.call('GET', `/v1/webhooks/${webhook_id}/deliveries?limit=1000`)).body as Json;
  assert.is(next, null);
  assert.equal(
    items.map(({ event_seq, status }: Json) => [event_seq, status]).toSorted((a: Json, b: Json) => a[0] - b[0]),
    log.map(({ seq }) => [seq, 'delivered']),
  );
  assert.is(await server.stop(), 0);
});

test(`${PENDING} pending deliveries survive kill -9 and hold nothing up`, async () => {
  await using space = createWorkspace();
  await using receiver = await openEventReceiver();
  const config = space.config(settings);
  let server = await space.serve({ config });
  const { session_id } = await server.open();
  const path = `/v1/sessions/${session_id}/webhooks`;
  await server.call('POST', path, { body: { url: receiver.url } });
  // Whoever never answers.
  receiver.answer(null);
  let left = Math.ceil(PENDING / 3);
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      for (; left > 0; left--) await server.execute(session_id, { command: 'no-op', args: { value: left } }, 'wait=30');
    }),
  );
  const pending = async (): Promise<number> => {
    const { items } = (await server.call('GET', path)).body as Json;
    return items[0].pending;
  };
  assert.ok((await pending()) >= PENDING, `${await pending()} are pending`);
  const { length } = receiver.received();
  assert.ok(length > 0 && length < 40, `${length} were sent to who does not answer`);
  await server.kill();
  receiver.answer(204);
  const before = receiver.received().length;
  const started = performance.now();
  server = await space.serve({ config });
  const ready = performance.now() - started;
  const other = await server.open();
  const answer = await server.execute(other.session_id, { command: 'no-op', args: { value: 1 } }, 'wait=30');
  assert.is(answer.body.status, 'completed');
  const log = (await server.events(session_id)).filter(({ seq }) => seq > 2);
  await eventually('all of it', async () => (await pending()) === 0, 120_000);
  const arrived = receiver.received().slice(before);
  process.stdout.write(
    `${log.length} deliveries after kill -9: ready after ${Math.round(ready)} ms, all there after ` +
      `${Math.round(performance.now() - started)} ms\n`,
  );
  assert.is(new Set(arrived.map(({ event }) => event.seq)).size, log.length);
  const ids = new Map(receiver.received().map(({ id, event }) => [id, event.seq]));
  assert.is(ids.size, new Set(ids.values()).size, 'one id an event');
  assert.is(await server.stop(), 0);
});

test.run();
