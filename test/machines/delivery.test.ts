import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import { DELIVERY_WAITS_MS } from '../../machines/backoff.ts';
import { delivery, deliveryFailure, MAX_DELIVERY_ATTEMPTS } from '../../machines/delivery.ts';
import type { DeliveryContext } from '../../machines/delivery.ts';
import type { Effect } from '../../machines/effect.ts';
import type { DeliveryMessage } from '../../machines/webhook-message.ts';
import { createDriver } from '../support/machine.ts';

const test = suite('delivery');

type Of<Type extends DeliveryMessage['type']> = Extract<DeliveryMessage, { type: Type }>;

const opening = (more: Partial<Of<'delivery.open'>> = {}): Of<'delivery.open'> => ({
  type: 'delivery.open',
  session_id: 'ses_1',
  delivery_id: 'dlv_1',
  webhook_id: 'whk_1',
  seq: 7,
  event_type: 'execution_completed',
  attempts: 0,
  counted: true,
  refused: false,
  ...more,
});
const attempted = (attempt: number, more: Partial<Of<'delivery.attempted'>> = {}): Of<'delivery.attempted'> => ({
  type: 'delivery.attempted',
  attempt,
  ok: false,
  status: 500,
  reason: 'status',
  retry_after_ms: null,
  final: false,
  ...more,
});
const good = (attempt: number) => attempted(attempt, { ok: true, status: 200, reason: null });

/** A delivery, and time that passes as it asks. */
const start = (open: Of<'delivery.open'> | null = opening(), random = 0.5) => {
  const one = createDriver<DeliveryContext>(delivery);
  const said: Effect[] = [];
  const clock = { now: 1_000_000 };
  const take = (message: { readonly type: string }): Effect[] => {
    const effects = one.take({ ...message, at: clock.now, random } as { type: string });
    said.push(...effects);
    return effects;
  };
  if (open !== null) take(open);
  return {
    one,
    said,
    clock,
    take,
    context: () => one.standing().context,
    state: () => one.standing().value,
    /** Goes on to the time that it waits for. */
    sleep: (): number => {
      const { deadline } = one.standing().context;
      const waited = (deadline ?? clock.now) - clock.now;
      clock.now += waited;
      take({ type: 'deadline' });
      return waited;
    },
  };
};

const count = (said: readonly Effect[], what: string): number =>
  said.filter((effect) => (effect.type === 'event' ? effect.event : effect.type) === what).length;

const SETTLED: Effect = {
  type: 'send',
  to: { session: 'ses_1', kind: 'webhook', id: 'whk_1' },
  message: { type: 'webhook.settled' },
};

test('its first attempt is asked for as it begins, counted before it is made, and found again after a crash', () => {
  const { said, context, state } = start();
  const attempt = { delivery_id: 'dlv_1', webhook_id: 'whk_1', seq: 7, attempt: 1 } as const;
  assert.equal(said, [{ type: 'deliver', attempt }]);
  assert.is(state(), 'attempting');
  assert.equal([context().attempts, context().waits, context().label], [1, 'deliver:1:7:whk_1', 'whk_1']);
});

test('a receiver that takes it ends it', () => {
  const { take, context, state } = start();
  assert.equal(take(good(1)), [SETTLED]);
  assert.is(state(), 'delivered');
  assert.equal([context().last_status, context().reason, context().waits, context().deadline], [200, null, null, null]);
});

test('it waits as long as the contract says after each failure, then is dead and says so', () => {
  const { one, said, take, context, sleep, state } = start();
  const waits: number[] = [];
  for (let attempt = 1; attempt < MAX_DELIVERY_ATTEMPTS; attempt++) {
    take(attempted(attempt));
    assert.is(state(), 'waiting');
    waits.push(sleep());
    assert.is(context().attempts, attempt + 1);
  }
  assert.equal(
    waits.map((ms) => ms / 1_000),
    [1, 5, 30, 300, 1_800, 7_200, 18_000, 36_000],
  );
  const last = take(attempted(MAX_DELIVERY_ATTEMPTS, { status: null, reason: 'timed_out' }));
  assert.is(state(), 'dead');
  assert.ok(one.done());
  const data = { webhook_id: 'whk_1', delivery_id: 'dlv_1', event_seq: 7, event_type: 'execution_completed' };
  assert.equal(last, [
    SETTLED,
    {
      type: 'event',
      event: 'webhook_dead',
      subject: 'whk_1',
      data: { ...data, attempts: MAX_DELIVERY_ATTEMPTS, last_status: null, reason: 'timed_out' },
      severity: 'warning',
    },
  ]);
  assert.is(count(said, 'deliver'), MAX_DELIVERY_ATTEMPTS);
});

test('jitter makes a wait half as long to half again as long', () => {
  for (const [random, share] of [
    [0, 0.5],
    [0.999, 1.499],
  ] as const) {
    const { take, sleep } = start(opening(), random);
    take(attempted(1));
    assert.is(sleep(), Math.floor(1_000 * share));
  }
});

test('Retry-After makes a wait longer, never shorter, and an hour at most', () => {
  for (const [asked, waited] of [
    [10, 1_000],
    [60_000, 60_000],
    [86_400_000, 3_600_000],
  ] as const) {
    const { take, sleep } = start();
    take(attempted(1, { retry_after_ms: asked }));
    assert.is(sleep(), waited);
  }
});

test('an attempt that was not made does not count', () => {
  const { take, context, sleep, state } = start();
  take({ type: 'delivery.postponed', attempt: 1 } as DeliveryMessage);
  assert.equal([state(), context().attempts], ['waiting', 0]);
  assert.is(sleep(), 30_000);
  assert.equal([state(), context().attempts], ['attempting', 1]);
});

test('what can do no better is dead at once, and so is what is one too many', () => {
  const expired = start();
  expired.take(attempted(1, { final: true, status: null, reason: 'event_expired' }));
  assert.is(expired.state(), 'dead');
  const refused = start(opening({ counted: false, refused: true }));
  assert.is(refused.state(), 'dead');
  assert.equal([count(refused.said, 'deliver'), count(refused.said, 'webhook_dead')], [0, 1]);
  assert.is(count(refused.said, 'send'), 0, 'who did not count it is not told');
});

test('of a webhook_dead that is dead nothing is said: two that are gone do not tell each other for ever', () => {
  const { said, take, state } = start(opening({ event_type: 'webhook_dead' }));
  take(attempted(1, { final: true }));
  assert.is(state(), 'dead');
  assert.is(count(said, 'webhook_dead'), 0);
});

test('begun anew it has all its attempts again, answers who asked, and late news of before does not count', () => {
  const { said, take, context, sleep, state } = start(opening({ attempts: 9, counted: false, created_at: 3 }));
  assert.is(count(said, 'reply'), 1);
  assert.equal([context().attempts, context().created_at], [10, 3]);
  take(good(9));
  assert.is(state(), 'attempting');
  for (let attempt = 10; attempt < 9 + MAX_DELIVERY_ATTEMPTS; attempt++) {
    take(attempted(attempt));
    assert.is(state(), 'waiting');
    sleep();
  }
  take(attempted(9 + MAX_DELIVERY_ATTEMPTS));
  assert.is(state(), 'dead');
  assert.is(count(said, 'send'), 0);
});

test('while it is under way it cannot begin anew', () => {
  const { take, sleep, state } = start();
  const conflict = (): void => {
    const [answer] = take(opening({ counted: false })) as [Extract<Effect, { type: 'reply' }>];
    assert.is(answer.answer.ok ? 'ok' : answer.answer.problem.code, 'conflict');
  };
  conflict();
  take(attempted(1));
  conflict();
  assert.is(state(), 'waiting');
  sleep();
  conflict();
});

test('it ends with an endpoint that is deleted, in silence; one that was given up is settled', () => {
  for (const fails of [false, true]) {
    const { take, state } = start();
    if (fails) take(attempted(1));
    assert.equal(take({ type: 'delivery.cancel' }), [SETTLED]);
    assert.is(state(), 'cancelled');
  }
  const { context } = start();
  assert.equal(deliveryFailure(context()), [SETTLED]);
  assert.equal(deliveryFailure(createDriver<DeliveryContext>(delivery).standing().context), []);
});

test('every state is reached', () => {
  const says = (message: { readonly type: string }, at: number) => ({ ...message, at, random: 0.5 });
  const paths = getShortestPaths(delivery, {
    events: [
      says(opening(), 0),
      says(opening({ refused: true }), 0),
      says(good(1), 1),
      says(attempted(1), 1),
      says(attempted(1, { final: true }), 1),
      says({ type: 'delivery.cancel' }, 1),
      says({ type: 'deadline' }, 60_000),
    ] as unknown as EventFromLogic<typeof delivery>[],
    serializeState: ({ value, context }) => `${value as string} ${context.attempts}`,
    limit: 1_000,
  });
  assert.equal([...new Set(paths.map(({ state }) => state.value))].toSorted(), Object.keys(delivery.states).toSorted());
});

const message = fc.oneof(
  { weight: 6, arbitrary: fc.constant('failed' as const) },
  { weight: 1, arbitrary: fc.constantFrom('good', 'late', 'future', 'final', 'postponed', 'cancel', 'open' as const) },
  { weight: 4, arbitrary: fc.constant('sleep' as const) },
  { weight: 1, arbitrary: fc.constant('early' as const) },
);

test('whatever comes in whatever order: no attempt too many, one end, dead only after all attempts, no reply unasked', () => {
  const history = fc.array(fc.tuple(message, fc.boolean()), { maxLength: 60 });
  fc.assert(
    fc.property(
      history,
      fc.constantFrom(0, 9),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (steps, earlier, random) => {
        const it = start(opening({ attempts: earlier, counted: earlier === 0 }), random);
        let postponed = 0;
        let forced = false;
        for (const [what, restore] of steps) {
          const wasDone = it.one.done();
          if (restore && !wasDone) it.one.restore();
          const before = it.context();
          const n = before.attempts;
          const isAttempting = it.state() === 'attempting';
          let effects: readonly Effect[] = [];
          if (what === 'sleep') it.sleep();
          else if (what === 'early') effects = it.take({ type: 'deadline' });
          else if (what === 'failed') effects = it.take(attempted(n));
          else if (what === 'good') effects = it.take(good(n));
          else if (what === 'late') effects = it.take(good(n - 1));
          else if (what === 'future') effects = it.take(good(n + 1));
          else if (what === 'final') effects = it.take(attempted(n, { final: true }));
          else if (what === 'postponed')
            effects = it.take({ type: 'delivery.postponed', attempt: n } as DeliveryMessage);
          else if (what === 'cancel') effects = it.take({ type: 'delivery.cancel' });
          else effects = it.take(opening({ counted: false }));
          if (what === 'postponed' && isAttempting) postponed += 1;
          if (what === 'final' && isAttempting) forced = true;
          if (wasDone) assert.equal([it.context(), effects.length], [before, 0], 'nothing after the end');
          if (['late', 'future', 'early'].includes(what)) assert.equal(it.context(), before, `${what} changes nothing`);
          const { attempts, waits, deadline, ended_at } = it.context();
          const made = attempts - earlier;
          assert.ok(made <= MAX_DELIVERY_ATTEMPTS);
          assert.is(count(it.said, 'deliver'), made + postponed);
          assert.is(waits !== null, it.state() === 'attempting');
          assert.is(deadline !== null, it.state() === 'waiting');
          assert.is(ended_at !== null, it.one.done());
        }
        const isDead = it.state() === 'dead';
        assert.is(count(it.said, 'webhook_dead'), isDead ? 1 : 0);
        if (isDead && !forced) assert.is(it.context().attempts - earlier, DELIVERY_WAITS_MS.length + 1);
        assert.is(count(it.said, 'send'), it.one.done() && earlier === 0 ? 1 : 0, 'settled once');
        const asked = steps.filter(([what]) => what === 'open').length + (earlier === 0 ? 0 : 1);
        assert.ok(count(it.said, 'reply') <= asked);
      },
    ),
    { numRuns: 300 },
  );
});

test.run();
