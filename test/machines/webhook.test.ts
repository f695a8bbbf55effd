import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import type { Effect } from '../../machines/effect.ts';
import { webhook, WEBHOOK_LIMITS, webhookFailure } from '../../machines/webhook.ts';
import type { WebhookContext } from '../../machines/webhook.ts';
import type { WebhookEnd, WebhookMessage } from '../../machines/webhook-message.ts';
import { createDriver } from '../support/machine.ts';

const test = suite('webhook');

const says = (message: WebhookMessage | { readonly type: 'deadline' }, at = 1) => ({ ...message, at, random: 0.5 });
const OPEN: WebhookMessage = {
  type: 'webhook.open',
  session_id: 'ses_1',
  webhook: { webhook_id: 'whk_1', url: 'https://hooks.example', types: null, sealed: 'first' },
  created_by: { principal: 'ada', client_id: null },
  execution_id: null,
};
const heard = (seq: number): WebhookMessage => ({
  type: 'webhook.event',
  delivery_id: `dlv_${seq}`,
  seq,
  event_type: 'client_joined',
});
const SETTLED: WebhookMessage = { type: 'webhook.settled' };
const rotation = (sealed: string): WebhookMessage => ({ type: 'webhook.rotate', sealed, asked: `req_${sealed}` });
const end = (reason: WebhookEnd): WebhookMessage => ({ type: 'webhook.end', reason });

const opened = () => {
  const one = createDriver<WebhookContext>(webhook);
  assert.equal(one.take(says(OPEN)), [], 'the session answers');
  return one;
};
const GONE: Effect = {
  type: 'send',
  to: { session: 'ses_1', kind: 'session', id: 'ses_1' },
  message: { type: 'webhook.gone', webhook_id: 'whk_1' } as { type: string },
};
const OUTDATED: Effect = { type: 'webhook', webhook_id: 'whk_1' };
const openings = (effects: readonly Effect[]) =>
  effects.flatMap((effect) =>
    effect.type === 'send' && effect.message.type === 'delivery.open'
      ? [effect.message as Extract<Parameters<typeof JSON.stringify>[0], object>]
      : [],
  );

test('each event becomes a delivery of its own', () => {
  const one = opened();
  const effects = one.take(says(heard(4)));
  assert.equal(effects, [
    {
      type: 'send',
      to: { session: 'ses_1', kind: 'delivery', id: 'dlv_4' },
      message: {
        type: 'delivery.open',
        session_id: 'ses_1',
        delivery_id: 'dlv_4',
        webhook_id: 'whk_1',
        seq: 4,
        event_type: 'client_joined',
        attempts: 0,
        counted: true,
        refused: false,
      },
      fresh: true,
    },
  ]);
  assert.is(one.standing().context.pending, 1);
});

test('what is beyond the bound is dead at once, until something has ended', () => {
  const one = opened();
  for (let seq = 1; seq <= WEBHOOK_LIMITS.pending; seq++) one.take(says(heard(seq)));
  const [refused] = openings(one.take(says(heard(20_000))));
  assert.equal([refused?.refused, refused?.counted], [true, false]);
  assert.is(one.standing().context.pending, WEBHOOK_LIMITS.pending);
  one.take(says(SETTLED));
  const [taken] = openings(one.take(says(heard(20_001))));
  assert.equal([taken?.refused, taken?.counted], [false, true]);
});

test('a new secret has the one before beside it for a day; a third ends the first', () => {
  const one = opened();
  const sealed = () => one.standing().context.secrets.map((secret) => secret.sealed);
  const until = 5 + WEBHOOK_LIMITS.overlap_ms;
  assert.equal(one.take(says(rotation('second'), 5)), [
    OUTDATED,
    { type: 'reply', answer: { ok: true, body: { webhook_id: 'whk_1', old_until: until, asked: 'req_second' } } },
  ]);
  assert.equal(sealed(), ['second', 'first']);
  assert.is(one.standing().context.deadline, until);
  one.take(says({ type: 'deadline' }, until - 1));
  assert.equal(sealed(), ['second', 'first']);
  one.take(says(rotation('third'), 10));
  assert.equal(sealed(), ['third', 'second']);
  assert.equal(one.take(says({ type: 'deadline' }, 10 + WEBHOOK_LIMITS.overlap_ms)), [OUTDATED]);
  assert.equal(sealed(), ['third']);
  assert.is(one.standing().context.deadline, null);
});

test('it ends with its session or its execution, but not before what is pending', () => {
  for (const reason of ['session_ended', 'execution_ended'] as const) {
    const idle = opened();
    assert.equal(idle.take(says(end(reason))), []);
    assert.is(idle.standing().value, 'ended');
    const busy = opened();
    busy.take(says(heard(1)));
    busy.take(says(end(reason)));
    assert.is(busy.standing().value, 'ending');
    busy.take(says(heard(2)));
    busy.take(says(SETTLED));
    assert.is(busy.standing().value, 'ending');
    busy.take(says(SETTLED));
    assert.is(busy.standing().value, 'ended');
  }
});

test('deleted it has no secret any more, its place is free, and who delivers is told', () => {
  for (const ending of [false, true]) {
    const one = opened();
    one.take(says(heard(1)));
    one.take(says(rotation('second')));
    if (ending) one.take(says(end('session_ended')));
    assert.equal(one.take(says(end('deleted'), 9)), [
      GONE,
      OUTDATED,
      { type: 'reply', answer: { ok: true, body: { webhook_id: 'whk_1', status: 'deleted' } } },
    ]);
    const { value, context } = one.standing();
    assert.equal([value, context.secrets, context.deadline, context.ended_at], ['deleted', [], null, 9]);
  }
  assert.equal(webhookFailure(opened().standing().context), [GONE, OUTDATED]);
});

test('whatever comes in whatever order: what is pending is counted, and no secret gets out', () => {
  const message = fc.oneof(
    { weight: 4, arbitrary: fc.nat().map((seq) => heard(seq)) },
    { weight: 4, arbitrary: fc.constant(SETTLED) },
    fc.constantFrom(OPEN, rotation('second'), end('session_ended'), end('execution_ended'), end('deleted')),
    fc.constant({ type: 'deadline' } as const),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(message, fc.boolean()), { maxLength: 30 }), (history) => {
      const one = createDriver<WebhookContext>(webhook);
      let [at, pending] = [0, 0];
      for (const [taken, restore] of history) {
        const wasDone = one.done();
        if (restore && !wasDone) one.restore();
        at += 3_600_000 * 7;
        const effects = one.take(says(taken, at));
        if (wasDone) assert.equal(effects, [], 'nothing after the end');
        pending += openings(effects).length;
        if (taken.type === 'webhook.settled' && !wasDone) pending = Math.max(0, pending - 1);
        const { value, context } = one.standing();
        if (value === 'new') pending = 0;
        if (!one.done()) assert.is(context.pending, pending);
        assert.ok(context.secrets.length <= 2);
        assert.not.match(JSON.stringify(effects), /"(first|second)"/);
        assert.is(value === 'ended' ? context.pending : 0, 0);
      }
    }),
  );
});

test('every state is reached', () => {
  const paths = getShortestPaths(webhook, {
    events: [OPEN, heard(1), SETTLED, end('session_ended'), end('deleted')].map((message) =>
      says(message),
    ) as unknown as EventFromLogic<typeof webhook>[],
    serializeState: ({ value, context }) => `${value as string} ${context.pending}`,
    limit: 100,
    stopWhen: ({ context }) => context.pending > 2,
  });
  assert.equal([...new Set(paths.map(({ state }) => state.value))].toSorted(), Object.keys(webhook.states).toSorted());
});

test.run();
