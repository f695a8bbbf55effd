import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deliveryAddress, sessionAddress, webhookAddress } from '../../machines/address.ts';
import type { DeliveryContext } from '../../machines/delivery.ts';
import type { DeliveryAttempt } from '../../machines/effect.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import {
  code,
  createSession,
  newClient,
  newMember,
  newWebhook,
  reason,
  SESSION,
  STRANGER,
  type TestSession,
} from '../support/session.ts';

const test = suite('session: webhooks');

const typeOf = ({ ring }: TestSession, { delivery_id }: DeliveryAttempt): string => {
  const actor = ring.actor(deliveryAddress(SESSION, delivery_id));
  if (actor === undefined) throw new Error(`there is no ${delivery_id}`);
  return (actor.standing().context as DeliveryContext).event_type;
};
/** The types of the events that an endpoint was sent, in order. */
const sent = (session: TestSession, webhook: string): string[] =>
  session.ring.attempts.filter(({ webhook_id }) => webhook_id === webhook).map((attempt) => typeOf(session, attempt));
const stateOf = ({ ring }: TestSession, webhook: string): string | undefined =>
  ring.actor(webhookAddress(SESSION, webhook))?.standing().value;
/** All that is under way has arrived. */
const arrive = ({ ring }: TestSession): void => {
  for (const { delivery_id, attempt } of ring.attempts.slice())
    ring.tell(deliveryAddress(SESSION, delivery_id), {
      type: 'delivery.attempted',
      attempt,
      ok: true,
      status: 200,
      reason: null,
      retry_after_ms: null,
      final: false,
    } as { type: string });
};
/** What is sent to it is dead. */
const kill = ({ ring }: TestSession, webhook: string): void => {
  for (const { delivery_id, webhook_id, attempt } of ring.attempts.slice())
    if (webhook_id === webhook)
      ring.tell(deliveryAddress(SESSION, delivery_id), {
        type: 'delivery.attempted',
        attempt,
        ok: false,
        status: 500,
        reason: 'status',
        retry_after_ms: null,
        final: true,
      } as { type: string });
};

test('the owner registers them, others do not, and there is room for twenty', () => {
  const session = createSession();
  session.register(newMember('2', 'bob'));
  assert.equal([code(session.webhook('1')), Object.keys(session.context().webhooks)], ['ok', ['whk_1']]);
  assert.is(code(session.webhook('1')), 'conflict');
  assert.is(reason(session.webhook('2', { caller: session.as('cli_2') })), 'owner');
  assert.is(code(session.webhook('2', { caller: STRANGER })), 'not_found');
  for (let n = 2; n <= SESSION_LIMITS.webhooks; n++) assert.is(code(session.webhook(`${n}`)), 'ok');
  assert.is(code(session.webhook('21')), 'conflict');
  session.ring.ask(webhookAddress(SESSION, 'whk_3'), { type: 'webhook.end', reason: 'deleted' } as { type: string });
  assert.is(code(session.webhook('21')), 'ok');
});

test('it hears of everything from then on, or of the types that it asked for', () => {
  const session = createSession();
  session.webhook('1');
  session.webhook('2', { types: ['execution_completed', 'client_joined'] });
  session.register(newClient('2'));
  session.execute();
  session.complete('exe_1');
  assert.equal(sent(session, 'whk_1'), [
    'client_joined',
    'execution_queued',
    'execution_started',
    'execution_completed',
  ]);
  assert.equal(sent(session, 'whk_2'), ['client_joined', 'execution_completed']);
});

test('one that comes with a session hears of its opening, one that comes with a client of its coming', () => {
  const session = createSession();
  session.ask({
    type: 'session.register',
    caller: session.as('cli_1'),
    client: newClient('2'),
    webhook: newWebhook('1'),
  });
  assert.equal(sent(session, 'whk_1'), ['client_joined']);
  for (let n = 2; n <= SESSION_LIMITS.webhooks; n++) session.webhook(`${n}`);
  const full = session.ask({
    type: 'session.register',
    caller: session.as('cli_1'),
    client: newClient('3'),
    webhook: newWebhook('x'),
  });
  assert.is(code(full), 'conflict');
  assert.is(session.context().clients['cli_3'], undefined, 'without its webhook the client does not come');
});

test('one for an execution hears of that alone, to its end, and ends with it', () => {
  const session = createSession();
  session.execute({ webhook: newWebhook('1') });
  session.execute();
  session.register(newClient('2'));
  session.complete('exe_2');
  assert.is(stateOf(session, 'whk_1'), 'live');
  session.complete('exe_1');
  assert.equal(sent(session, 'whk_1'), ['execution_queued', 'execution_started', 'execution_completed']);
  assert.equal(session.context().webhooks, {});
  assert.is(stateOf(session, 'whk_1'), 'ending');
  arrive(session);
  assert.is(stateOf(session, 'whk_1'), 'ended');
});

test('a webhook of its own needs write, and room; what is refused is neither accepted nor charged', () => {
  const session = createSession();
  session.register(newMember('2', 'bob', { operations: ['read'] }));
  const caller = session.as('cli_2');
  assert.is(reason(session.execute({ caller, webhook: newWebhook('1') })), 'operation');
  assert.is(code(session.execute({ caller })), 'ok');
  for (let n = 1; n <= SESSION_LIMITS.webhooks; n++) session.webhook(`${n}`);
  const before = session.context();
  assert.is(code(session.execute({ webhook: newWebhook('x') })), 'conflict');
  assert.equal([session.context().counts, session.context().ledger], [before.counts, before.ledger]);
});

test('require_webhook is met by one of the session or of the call, not by one of another execution', () => {
  const session = createSession();
  session.register(newMember('2', 'bob', { constraints: { require_webhook: true } }));
  const caller = session.as('cli_2');
  const unattended = (more = {}) => code(session.execute({ caller, unattended: true, ...more }));
  assert.is(unattended(), 'webhook_required');
  assert.is(code(session.execute({ caller })), 'ok');
  assert.is(unattended({ webhook: newWebhook('1') }), 'ok');
  assert.is(unattended(), 'webhook_required');
  session.webhook('2');
  assert.is(unattended(), 'ok');
  session.ring.ask(webhookAddress(SESSION, 'whk_2'), { type: 'webhook.end', reason: 'deleted' } as { type: string });
  assert.is(unattended(), 'webhook_required');
});

test('they hear of the end of the session and are ended by it, but not before what is pending', () => {
  const session = createSession();
  session.webhook('1');
  session.webhook('2', { types: ['share_created'] });
  session.close();
  assert.equal(sent(session, 'whk_1'), ['session_closed']);
  assert.is(stateOf(session, 'whk_1'), 'ending');
  assert.is(stateOf(session, 'whk_2'), 'ended');
  arrive(session);
  assert.is(stateOf(session, 'whk_1'), 'ended');
});

test('a session that is given up leaves none behind', () => {
  const session = createSession();
  session.webhook('1');
  session.ring.fail(sessionAddress(SESSION));
  arrive(session);
  assert.is(stateOf(session, 'whk_1'), 'ended');
});

test('of a dead delivery every endpoint hears but the one it is about', () => {
  const session = createSession();
  session.webhook('1');
  session.webhook('2');
  session.register(newClient('2'));
  kill(session, 'whk_1');
  assert.equal(sent(session, 'whk_1'), ['client_joined']);
  assert.equal(sent(session, 'whk_2'), ['client_joined', 'webhook_dead']);
  // Two that are gone do not tell each other for ever.
  kill(session, 'whk_2');
  assert.equal(sent(session, 'whk_1'), ['client_joined', 'webhook_dead']);
  kill(session, 'whk_1');
  assert.equal(sent(session, 'whk_2'), ['client_joined', 'webhook_dead']);
});

test('a suspended session is woken by it', () => {
  const session = createSession();
  session.ring.advance(SESSION_LIMITS.grace_ms + 1);
  assert.is(session.state(), 'suspended');
  assert.is(code(session.webhook('1')), 'ok');
  assert.is(session.state(), 'active');
});

test.run();
