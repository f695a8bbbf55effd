import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Reads, StoredActor } from '../../../actors/reads.ts';
import type { DeliveryAttempt } from '../../../machines/effect.ts';
import type { DeliveryMessage } from '../../../machines/webhook-message.ts';
import { createWebhookDeliveries, type DeliveriesLimits } from '../../../src/gateway/webhook-deliveries.ts';
import type { AttemptResult, WebhookAttempt } from '../../../src/gateway/webhook-sender.ts';
import { settle } from '../../support/mqtt-wire.ts';

/** Between the ring and the sender: order, bounds, and what is known of endpoints. */
const test = suite('deliveries of webhooks');

const PLACE = { session: 'ses_1' } as const;
const GOOD: AttemptResult = { ok: true, status: 204 };
const EVENTS = 500;

const attempt = (n: number, webhook = 1, seq = n): DeliveryAttempt => ({
  delivery_id: `dlv_${n}`,
  webhook_id: `whk_${webhook}`,
  seq,
  attempt: 1,
});

/** `slow`: what is reported is not durable before it is said so. */
const stage = (limits: Partial<DeliveriesLimits> = {}, slow = false) => {
  const sent: (WebhookAttempt & { readonly end: (result: AttemptResult) => void })[] = [];
  const reported: (readonly [string, DeliveryMessage])[] = [];
  const durable: (() => void)[] = [];
  const read = { actor: 0, events: 0 };
  const on = { state: 'live', url: 'http://one.test/', first: 1, fails: false, closed: false, now: 1_000 };
  const live: StoredActor[] = [];
  const errors: unknown[] = [];
  const secrets = [
    { sealed: 'new', until: null },
    { sealed: 'old', until: 2_000 },
  ];
  const reads = {
    actor: async () => {
      read.actor += 1;
      if (on.fails) throw new Error('the store fails');
      return { state: on.state, context: { url: on.url, secrets } };
    },
    events: async (_: string, { after, limit }: { after: number; limit: number }) => {
      read.events += 1;
      const { length } = { length: Math.min(limit, EVENTS - after) };
      return { events: Array.from({ length }, (__, index) => `event ${after + 1 + index}`), first: on.first };
    },
    labelled: async () => live,
  } as unknown as Reads;
  const deliveries = createWebhookDeliveries({
    reads,
    now: () => on.now,
    report: (delivery, _, message) => {
      reported.push([delivery, message]);
      return { committed: slow ? new Promise((resolve) => durable.push(resolve)) : Promise.resolve() };
    },
    sender: {
      send: (what) => new Promise((resolve) => sent.push({ ...what, end: resolve })),
      close: async () => {
        on.closed = true;
        for (const { end } of sent) end({ ok: false, status: null, reason: 'closed', retryAfterMs: null });
      },
    },
    onError: (error) => errors.push(error),
    limits,
  });
  return { deliveries, sent, reported, durable, read, on, live, errors };
};

const bodies = (sent: readonly WebhookAttempt[]): string[] => sent.map(({ body }) => body);

test('an attempt is made with the event at hand, and its end reported', async () => {
  const { deliveries, sent, reported, durable, read } = stage({}, true);
  deliveries.deliver(attempt(1), PLACE, 'at hand');
  await settle();
  const [{ end, ...made }] = sent as [(typeof sent)[0]];
  assert.equal(made, {
    id: 'dlv_1',
    endpoint: 'whk_1',
    url: 'http://one.test/',
    secrets: ['new', 'old'],
    body: 'at hand',
  });
  assert.is(read.events, 0);
  assert.equal(deliveries.depth(), { waiting: 0, sending: 1 });
  end({ ok: false, status: 503, reason: 'status', retryAfterMs: 9_000 });
  await settle();
  const told = { ok: false, status: 503, reason: 'status', retry_after_ms: 9_000, final: false };
  assert.equal(reported, [['dlv_1', { type: 'delivery.attempted', attempt: 1, ...told }]]);
  assert.ok(deliveries.has('dlv_1', 1), 'until its end is durable');
  assert.not(deliveries.has('dlv_1', 2));
  durable[0]?.();
  await settle();
  assert.not(deliveries.has('dlv_1', 1));
  assert.equal(deliveries.depth(), { waiting: 0, sending: 0 });
});

test('a few of each endpoint at a time, in order; one that is slow delays no other', async () => {
  const { deliveries, sent } = stage({ perEndpoint: 2 });
  for (let n = 1; n <= 5; n++) deliveries.deliver(attempt(n), PLACE, `${n}`);
  deliveries.deliver(attempt(6, 2), PLACE, 'other');
  await settle();
  assert.equal(bodies(sent), ['1', '2', 'other']);
  assert.equal(deliveries.depth(), { waiting: 3, sending: 3 });
  sent[1]?.end(GOOD);
  await settle();
  assert.equal(bodies(sent), ['1', '2', 'other', '3']);
});

test('where the store is slower than the receiver, the receiver waits', async () => {
  const { deliveries, sent, durable } = stage({ perEndpoint: 2 }, true);
  for (let n = 1; n <= 4; n++) deliveries.deliver(attempt(n), PLACE, `${n}`);
  await settle();
  for (const { end } of sent) end(GOOD);
  await settle();
  assert.equal(bodies(sent), ['1', '2']);
  durable[0]?.();
  await settle();
  assert.equal(bodies(sent), ['1', '2', '3']);
});

test('what is not at hand is read, many at a time', async () => {
  const { deliveries, sent, read } = stage({ perEndpoint: 1 });
  for (let n = 1; n <= 60; n++) deliveries.deliver(attempt(n), PLACE, null);
  for (let n = 0; n < 60; n++) {
    await settle();
    assert.is(sent[n]?.body, `event ${n + 1}`);
    sent[n]?.end(GOOD);
  }
  assert.is(read.events, 1);
});

test('text of events is held up to a bound', async () => {
  const { deliveries, sent, read } = stage({ perEndpoint: 1, text: 10 });
  deliveries.deliver(attempt(1), PLACE, 'now');
  deliveries.deliver(attempt(2), PLACE, '12345678');
  deliveries.deliver(attempt(3), PLACE, '12345678');
  for (let n = 0; n < 3; n++) {
    await settle();
    sent[n]?.end(GOOD);
  }
  assert.equal(bodies(sent), ['now', '12345678', 'event 3']);
  assert.is(read.events, 1);
});

test('beyond the bound attempts are postponed at once', async () => {
  const { deliveries, reported, sent } = stage({ perEndpoint: 1, waiting: 2 });
  for (let n = 1; n <= 5; n++) deliveries.deliver(attempt(n), PLACE, `${n}`);
  await settle();
  assert.equal(
    reported.map(([id, { type }]) => [id, type]),
    [
      ['dlv_4', 'delivery.postponed'],
      ['dlv_5', 'delivery.postponed'],
    ],
  );
  assert.equal(bodies(sent), ['1']);
});

test('what is older than retention can do no better, and what cannot be read is postponed', async () => {
  const { deliveries, reported, on, errors, sent } = stage();
  on.first = 10;
  deliveries.deliver(attempt(1), PLACE, null);
  await settle();
  const [[, expired]] = reported as [[string, Extract<DeliveryMessage, { final: boolean }>]];
  assert.equal([expired.final, expired.reason, expired.attempt], [true, 'event_expired', 1]);
  on.fails = true;
  deliveries.deliver(attempt(2, 2), PLACE, 'two');
  await settle();
  assert.equal(reported[1], ['dlv_2', { type: 'delivery.postponed', attempt: 1 }]);
  assert.is(errors.length, 1);
  on.fails = false;
  deliveries.deliver(attempt(3, 2), PLACE, 'three');
  await settle();
  assert.equal(bodies(sent), ['three'], 'a failure is not remembered');
});

test('an endpoint is read once until it changes; an old secret signs no longer than it holds', async () => {
  const { deliveries, sent, read, on } = stage();
  deliveries.deliver(attempt(1), PLACE, '1');
  deliveries.deliver(attempt(2), PLACE, '2');
  await settle();
  assert.is(read.actor, 1);
  on.url = 'http://two.test/';
  deliveries.changed('whk_1', PLACE);
  on.now = 2_000;
  deliveries.deliver(attempt(3), PLACE, '3');
  await settle();
  assert.equal([sent[2]?.url, sent[2]?.secrets], ['http://two.test/', ['new']]);
  assert.is(read.actor, 2);
});

test('with a deleted endpoint what waits here is cancelled, and what waits for its time as well', async () => {
  const { deliveries, reported, on, live, sent } = stage();
  live.push({ id: 'dlv_8', done: false } as StoredActor, { id: 'dlv_9', done: true } as StoredActor);
  on.state = 'deleted';
  deliveries.changed('whk_1', PLACE);
  deliveries.deliver(attempt(1), PLACE, '1');
  await settle();
  assert.equal(reported.map(([id, { type }]) => `${id} ${type}`).toSorted(), [
    'dlv_1 delivery.cancel',
    'dlv_8 delivery.cancel',
  ]);
  assert.equal(sent, []);
});

test('closed it begins nothing, and reports nothing that was not seen to its end', async () => {
  const { deliveries, reported, sent, on } = stage({ perEndpoint: 1 });
  deliveries.deliver(attempt(1), PLACE, '1');
  deliveries.deliver(attempt(2), PLACE, '2');
  await settle();
  await deliveries.close(0);
  deliveries.deliver(attempt(3), PLACE, '3');
  await settle();
  assert.ok(on.closed);
  assert.equal([bodies(sent), reported], [['1'], []]);
  assert.ok(deliveries.has('dlv_1', 1), 'it is asked for again at the next start');
});

test.run();
