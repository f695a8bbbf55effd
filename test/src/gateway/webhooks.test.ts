import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbeddedBroker } from '../../../brokers/embedded.ts';
import { repliesTopic, requestsTopic } from '../../../machines/topic.ts';
import { createAddressCheck } from '../../../src/gateway/address-check.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { openSecretBox } from '../../../src/gateway/secret-box.ts';
import { createWebhookDeliveries } from '../../../src/gateway/webhook-deliveries.ts';
import { NO_WEBHOOKS } from '../../../src/gateway/webhook-parts.ts';
import { createWebhookSender } from '../../../src/gateway/webhook-sender.ts';
import { openEventReceiver, type EventReceiver } from '../../support/event-receiver.ts';
import { eventually, startGateway, type Json } from '../../support/gateway.ts';
import { CONNECT, dialTcp, publish, subscribe } from '../../support/mqtt-wire.ts';

/** The contract's section 9 on the wire, with a receiver of its own. */
const test = suite('webhooks');

const directory = mkdtempSync(join(tmpdir(), 'arbor-webhooks-'));
const box = openSecretBox(directory);
const webhooks = { box, check: createAddressCheck({ allow: ['127.0.0.1/32'] }) };
const access = createMqttAccess();
const broker = await createEmbeddedBroker({ policy: access.policy });
const on = await startGateway({ mqtt: { access, server: broker, host: '127.0.0.1', port: 0 }, webhooks }, broker);
on.system.deliver((parts) =>
  createWebhookDeliveries({
    ...parts,
    // Receivers have a clock of their own.
    sender: createWebhookSender({ ...webhooks, clock: Date.now }),
    onError: (error) => assert.unreachable(String(error)),
  }),
);
test.after(async () => {
  await on.close();
  await broker.close();
  rmSync(directory, { recursive: true });
});

const types = (receiver: EventReceiver): string[] => receiver.received().map(({ event }) => event.type);
const arrived = (receiver: EventReceiver, count: number): Promise<void> =>
  eventually(`${count} events`, () => receiver.received().length >= count);
const ok = async (method: string, path: string, body?: object, token = on.owner): Promise<Json> => {
  const answer = await on.call(method, path, { body, token });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.text}`);
  return answer.body;
};
const pathOf = ({ session_id }: Json): string => `/v1/sessions/${session_id}`;
const listed = async (webhook_id: string, query = ''): Promise<Json[]> =>
  (await ok('GET', `/v1/webhooks/${webhook_id}/deliveries${query}`)).items;

test('what is registered is sent what it asked for, signed with the secret that was shown once', async () => {
  await using receiver = await openEventReceiver();
  const session = await on.open();
  const { secret, ...created } = await ok('POST', `${pathOf(session)}/webhooks`, {
    url: receiver.url,
    types: ['client_joined', 'client_joined', 'client_left'],
  });
  assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
  assert.equal(created.types, ['client_joined', 'client_left']);
  const { client_id } = await ok('POST', `${pathOf(session)}/clients`, { client: { type: 'web' } });
  await ok('POST', `${pathOf(session)}/shares`, {});
  await ok('DELETE', `${pathOf(session)}/clients/${client_id}`);
  await arrived(receiver, 2);
  assert.equal(types(receiver), ['client_joined', 'client_left']);
  const { events } = await ok('GET', `${pathOf(session)}/events?types=client_left`);
  assert.equal(receiver.received()[1]?.event, events[0]);
  assert.ok(receiver.received().every((call) => call.verifies(secret)));
  const listing = await on.call('GET', `${pathOf(session)}/webhooks`);
  const [{ created_at: _, ...shown }] = listing.body.items;
  assert.equal(shown, {
    ...created,
    status: 'live',
    execution_id: null,
    pending: 0,
    secrets: 1,
    created_by: { principal: 'alice', client_id: null },
  });
  assert.not.ok(listing.text.includes('sealed'));
  const said = JSON.stringify(on.system.told) + on.lines.join();
  assert.not.ok(said.includes(secret.slice('whsec_'.length)), 'the secret goes round nowhere');
});

test('after a rotation both secrets sign, and the answer to a repeated request shows none', async () => {
  await using receiver = await openEventReceiver();
  const session = await on.open();
  const client = await dialTcp(on.mqtt?.port ?? 0);
  const { session_id, client_id, client_token } = session;
  client.send({ ...CONNECT, clientId: client_id, username: client_id, password: client_token });
  await client.expect('connack');
  await subscribe(client, { [repliesTopic(session_id, client_id)]: 0 });
  const rpc = async (id: number, method: string, params: object): Promise<Json> => {
    client.send(publish(requestsTopic(session_id, client_id), JSON.stringify({ jsonrpc: '2.0', id, method, params })));
    return JSON.parse(String((await client.expect('publish'))['payload'])).result;
  };
  const created = await rpc(1, 'webhooks.create', { url: receiver.url, types: ['client_joined'] });
  const { secret: _, ...known } = created;
  assert.equal(await rpc(1, 'webhooks.create', { url: receiver.url, types: ['client_joined'] }), known);
  const { webhook_id } = created;
  const rotated = await rpc(2, 'webhooks.rotate', { webhook_id });
  const again = await rpc(2, 'webhooks.rotate', { webhook_id });
  assert.equal(again, { webhook_id, old_valid_until: rotated.old_valid_until });
  const registered = await rpc(3, 'clients.register', { client: { type: 'web' }, webhook_url: receiver.url });
  assert.match(registered.webhook.secret, /^whsec_/);
  const repeated = await rpc(3, 'clients.register', { client: { type: 'web' }, webhook_url: receiver.url });
  assert.equal([repeated.client_id, repeated.webhook], [registered.client_id, undefined]);
  await arrived(receiver, 2);
  const [call] = receiver.received().filter((each) => each.verifies(created.secret));
  assert.ok(call?.verifies(rotated.secret));
  on.system.advance(86_400_001);
  on.system.wake();
  await ok('POST', `${pathOf(session)}/clients`, { client: { type: 'web' } });
  await arrived(receiver, 4);
  const last = receiver.received().slice(2);
  assert.not.ok(last.some((each) => each.verifies(created.secret)));
  assert.is(last.filter((each) => each.verifies(rotated.secret)).length, 1);
  client.destroy();
});

test('a command’s own webhook hears of that execution alone; its secret is shown with the first answer only', async () => {
  await using receiver = await openEventReceiver();
  const session = await on.open();
  const body = { command: 'work', webhook_url: receiver.url, idempotency_key: 'once' };
  const headers = { prefer: 'respond-async' };
  const first = await on.call('POST', `${pathOf(session)}/commands`, { body, headers });
  assert.is(first.status, 202, first.text);
  const { webhook, execution_id } = first.body;
  await ok('POST', `${pathOf(session)}/commands`, { command: 'work', wait: 0 });
  const repeat = await on.call('POST', `${pathOf(session)}/commands`, { body, headers });
  assert.equal([repeat.body.execution_id, repeat.body.webhook], [execution_id, undefined]);
  const other = await on.call('POST', `${pathOf(session)}/commands`, {
    body: { ...body, webhook_url: `${receiver.url}/other` },
  });
  assert.is(other.status, 409);
  on.system.complete(execution_id, 'done');
  await arrived(receiver, 3);
  assert.equal(types(receiver), ['execution_queued', 'execution_started', 'execution_completed']);
  assert.ok(
    receiver
      .received()
      .every(({ event, verifies }) => event.data['execution_id'] === execution_id && verifies(webhook.secret)),
  );
  await eventually('its end', async () => {
    const { items } = await ok('GET', `${pathOf(session)}/webhooks`);
    return items[0].status === 'ended' && items[0].execution_id === execution_id;
  });
  // Inside the wait it is shown as well.
  const waited = on.call('POST', `${pathOf(session)}/commands`, {
    body: { command: 'help', webhook_url: receiver.url },
    headers: { prefer: 'wait=20' },
  });
  await eventually('a run', () => on.system.runs.size > 1);
  const last = [...on.system.runs.keys()].at(-1) ?? '';
  on.system.complete(last, { text: '' });
  assert.match((await waited).body.webhook.secret, /^whsec_/);
});

test('what is asked for without a wait needs a webhook where the capability says so', async () => {
  await using receiver = await openEventReceiver();
  const session = await on.open('api');
  const token = session.client_token;
  const run = (more = {}) =>
    on.call('POST', `${pathOf(session)}/commands`, {
      token,
      body: { command: 'work', ...more },
      headers: { prefer: 'respond-async' },
    });
  const refused = await run();
  assert.equal([refused.status, refused.body.code], [400, 'webhook_required']);
  assert.is((await run({ webhook_url: receiver.url })).status, 202);
  assert.is((await run()).status, 400);
  await ok('POST', `${pathOf(session)}/webhooks`, { url: receiver.url });
  assert.is((await run()).status, 202);
});

test('an address that may not be called is refused by the name of its field, before anything is made', async () => {
  const session = await on.open();
  const inside = 'http://169.254.169.254/latest/meta-data';
  for (const [path, body, field] of [
    [`${pathOf(session)}/webhooks`, { url: inside }, 'url'],
    [`${pathOf(session)}/webhooks`, { url: 'file:///etc/passwd' }, 'url'],
    [`${pathOf(session)}/commands`, { command: 'work', webhook_url: inside }, 'webhook_url'],
    [`${pathOf(session)}/commands?dry_run=true`, { command: 'work', webhook_url: inside }, 'webhook_url'],
    [`${pathOf(session)}/clients`, { client: { type: 'web' }, webhook_url: inside }, 'webhook_url'],
    ['/v1/sessions', { client: { type: 'web' }, webhook_url: inside }, 'webhook_url'],
  ] as const) {
    const answer = await on.call('POST', path, { body });
    assert.equal(
      [answer.status, answer.body.code, answer.body.errors?.[0].field],
      [400, 'address_refused', field],
      path,
    );
  }
  assert.equal((await ok('GET', `${pathOf(session)}/webhooks`)).items, []);
  assert.is((await ok('GET', `${pathOf(session)}/clients`)).items.length, 1);
});

test('a webhook_url needs write, whoever may run the command', async () => {
  const session = await on.open();
  const { token } = await ok('POST', `${pathOf(session)}/shares`, { operations: ['read'] });
  const guest = (await on.call('POST', '/v1/join', { token: null, body: { token, client: { type: 'cli' } } })).body;
  const body = { command: 'help', webhook_url: 'http://127.0.0.1:9/' };
  const refused = await on.call('POST', `${pathOf(session)}/commands`, { token: guest.client_token, body });
  assert.equal([refused.status, refused.body.reason], [403, 'operation']);
});

test('what fails is tried again when its time has come, and a dead one begins anew under the same id', async () => {
  await using receiver = await openEventReceiver();
  receiver.answer(500);
  const session = await on.open();
  const { webhook_id } = await ok('POST', `${pathOf(session)}/webhooks`, {
    url: receiver.url,
    types: ['client_joined'],
  });
  await ok('POST', `${pathOf(session)}/clients`, { client: { type: 'web' } });
  const one = async (): Promise<Json> => (await listed(webhook_id))[0];
  await eventually('a failure', async () => (await one()).status === 'waiting');
  const { delivery_id, attempts, last_status, next_attempt_at } = await one();
  assert.equal([attempts, last_status], [1, 500]);
  assert.ok(Date.parse(next_attempt_at) > on.system.now() - 1_000);
  const early = await on.call('POST', `/v1/deliveries/${delivery_id}/redeliver`);
  assert.equal([early.status, early.body.code], [409, 'conflict']);
  for (let attempt = 2; attempt <= 9; attempt++) {
    on.system.advance(60_000_000);
    on.system.wake();
    await eventually(`attempt ${attempt}`, async () => !['attempting'].includes((await one()).status));
  }
  const dead = await one();
  assert.equal([dead.status, dead.attempts, dead.reason], ['dead', 9, 'status']);
  assert.equal(new Set(receiver.received().map(({ id }) => id)), new Set([delivery_id]));
  assert.is(receiver.received().length, 9);
  const { events } = await ok('GET', `${pathOf(session)}/events?types=webhook_dead`);
  assert.equal(
    events.map((event: Json) => [event.data.delivery_id, event.data.attempts, event.data.last_status]),
    [[delivery_id, 9, 500]],
  );

  receiver.answer(200);
  const redelivered = await on.call('POST', `/v1/deliveries/${delivery_id}/redeliver`);
  assert.is(redelivered.status, 202, redelivered.text);
  await eventually('its arrival', async () => (await one()).status === 'delivered');
  assert.equal([receiver.received().at(-1)?.id, (await one()).attempts], [delivery_id, 10]);
  assert.is((await ok('POST', `/v1/deliveries/${delivery_id}/redeliver`)).status, 'attempting');
  await arrived(receiver, 11);
});

test('with an endpoint that is deleted its deliveries end, and its place is free', async () => {
  await using receiver = await openEventReceiver();
  receiver.answer(503);
  const session = await on.open();
  const { webhook_id } = await ok('POST', `${pathOf(session)}/webhooks`, {
    url: receiver.url,
    types: ['client_joined'],
  });
  await ok('POST', `${pathOf(session)}/clients`, { client: { type: 'web' } });
  await eventually('a failure', async () => (await listed(webhook_id))[0].status === 'waiting');
  assert.equal(await ok('DELETE', `/v1/webhooks/${webhook_id}`), { webhook_id, status: 'deleted' });
  await eventually('its end', async () => (await listed(webhook_id))[0].status === 'cancelled');
  const [{ delivery_id }] = await listed(webhook_id);
  const before = receiver.received().length;
  assert.is((await on.call('POST', `/v1/deliveries/${delivery_id}/redeliver`)).status, 409);
  assert.is((await on.call('POST', `/v1/webhooks/${webhook_id}/rotate`)).status, 409);
  assert.is((await on.call('DELETE', `/v1/webhooks/${webhook_id}`)).status, 409);
  await ok('POST', `${pathOf(session)}/clients`, { client: { type: 'web' } });
  assert.is(receiver.received().length, before);
  assert.is((await ok('GET', `${pathOf(session)}/webhooks`)).items[0].status, 'deleted');
});

test('deliveries are listed by pages and by how they stand', async () => {
  await using receiver = await openEventReceiver();
  const session = await on.open();
  const { webhook_id } = await ok('POST', `${pathOf(session)}/webhooks`, {
    url: receiver.url,
    types: ['client_joined'],
  });
  for (let n = 0; n < 5; n++) {
    if (n === 3) receiver.answer(500);
    await ok('POST', `${pathOf(session)}/clients`, { client: { type: 'web' } });
    await eventually('an end', async () => !(await listed(webhook_id)).some(({ status }) => status === 'attempting'));
  }
  const all = await listed(webhook_id);
  assert.equal(
    all.map(({ event_seq }) => event_seq),
    all.map(({ event_seq }) => event_seq).toSorted((a, b) => a - b),
  );
  for (const [status, count] of [
    ['delivered', 3],
    ['waiting', 2],
    ['dead', 0],
  ] as const) {
    const items: Json[] = [];
    for (let next: string | null = ''; next !== null; ) {
      const after: string = next === '' ? '' : `&after=${next}`;
      const page = await ok('GET', `/v1/webhooks/${webhook_id}/deliveries?status=${status}&limit=2${after}`);
      items.push(...page.items);
      next = page.next;
    }
    assert.is(items.length, count, status);
    assert.is(new Set(items.map(({ delivery_id }) => delivery_id)).size, count);
  }
  const bad = await on.call('GET', `/v1/webhooks/${webhook_id}/deliveries?status=lost`);
  assert.equal([bad.status, bad.body.errors[0].field], [400, 'status']);
});

test('without a key to seal with none is registered', async () => {
  const other = await startGateway({ webhooks: NO_WEBHOOKS });
  const session = await other.open();
  const answer = await other.call('POST', `${pathOf(session)}/webhooks`, { body: { url: 'https://example.com' } });
  assert.equal([answer.status, answer.body.code], [503, 'not_configured']);
  await other.close();
});

test.run();
