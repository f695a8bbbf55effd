import { webhookAddress } from './address.ts';
import { refusal, reply, send } from './convention.ts';
import type { Effect } from './effect.ts';
import type { EventType } from './event.ts';
import type { DeliveryId, ExecutionId, SessionId, WebhookId } from './id.ts';
import type { Caller, Envelope } from './message.ts';
import { SESSION_LIMITS, standing, touched } from './session-context.ts';
import type { LiveWebhook, SessionContext } from './session-context.ts';
import { answered, forbid } from './session-effects.ts';
import type { Now, Of } from './session-effects.ts';
import type { NewWebhook, WebhookMessage } from './webhook-message.ts';

type Webhooks = SessionContext['webhooks'];

const toWebhook = (session: SessionId, id: WebhookId, message: WebhookMessage, fresh = false): Effect =>
  send(webhookAddress(session, id), message, fresh);

/** What the session knows with one more endpoint, and the endpoint itself. */
export interface Added {
  readonly webhooks: Webhooks;
  readonly effects: readonly Effect[];
}

/** Adds an endpoint, or says why there is no room; nothing where none is asked for. */
export const addWebhook = (
  { session_id, webhooks }: Pick<SessionContext, 'session_id' | 'webhooks'>,
  drawn: NewWebhook | undefined,
  created_by: Caller,
  execution_id: ExecutionId | null = null,
): Added | Effect => {
  if (drawn === undefined) return { webhooks, effects: [] };
  const { webhook_id, types } = drawn;
  if (webhooks[webhook_id] !== undefined) return refusal('conflict', 'the webhook is there already');
  if (Object.keys(webhooks).length >= SESSION_LIMITS.webhooks)
    return refusal('conflict', `a session has at most ${SESSION_LIMITS.webhooks} live webhooks`);
  return {
    webhooks: { ...webhooks, [webhook_id]: { types, execution_id } },
    effects: [
      toWebhook(
        session_id,
        webhook_id,
        { type: 'webhook.open', session_id, webhook: drawn, created_by, execution_id },
        true,
      ),
    ],
  };
};

/** For the owner: it carries everything out of the session. */
export const createWebhook = (context: SessionContext, { caller, webhook, at }: Of<'session.webhook'>): Now => {
  if (standing(context, caller) !== 'owner')
    return answered(context, at, forbid('owner', 'only the owner registers webhooks'));
  const added = addWebhook(context, webhook, caller);
  if ('type' in added) return answered(context, at, added);
  const { webhook_id, url, types } = webhook;
  return {
    change: touched(context, at, { webhooks: added.webhooks }),
    effects: [...added.effects, reply({ webhook_id, session_id: context.session_id, url, types })],
  };
};

const without = (webhooks: Webhooks, ids: readonly string[]): Webhooks =>
  Object.fromEntries(Object.entries(webhooks).filter(([id]) => !ids.includes(id))) as Webhooks;

export const webhookGone = ({ webhooks }: SessionContext, { webhook_id }: Of<'webhook.gone'>): Now =>
  webhooks[webhook_id] === undefined ? {} : { change: { webhooks: without(webhooks, [webhook_id]) } };

/** What was for one execution alone ends with it. It has heard of the end before. */
export const endWebhooksOf = (
  { session_id, webhooks }: SessionContext,
  execution: ExecutionId,
): { readonly webhooks: Webhooks; readonly effects: readonly Effect[] } | null => {
  const ids = (Object.keys(webhooks) as WebhookId[]).filter((id) => webhooks[id]?.execution_id === execution);
  if (ids.length === 0) return null;
  return {
    webhooks: without(webhooks, ids),
    effects: ids.map((id) => toWebhook(session_id, id, { type: 'webhook.end', reason: 'execution_ended' })),
  };
};

/** They hear of the end of the session, and of whatever comes while something of theirs is pending. */
export const endWebhooks = ({ session_id, webhooks }: SessionContext): readonly Effect[] =>
  (Object.keys(webhooks) as WebhookId[]).map((id) =>
    toWebhook(session_id, id, { type: 'webhook.end', reason: 'session_ended' }),
  );

/** Whether an endpoint hears of the whole session: what a capability with `require_webhook` asks for. */
export const hasWebhook = ({ webhooks }: SessionContext): boolean =>
  Object.values(webhooks).some(({ execution_id }) => execution_id === null);

/** An event that has just got its number. */
export interface Fact {
  readonly event: EventType;
  readonly subject: string;
  readonly seq: number;
  /** Draws the id of a delivery. */
  readonly draw: () => DeliveryId;
}

const hears = (id: string, { types, execution_id }: LiveWebhook, { event, subject }: Fact): boolean =>
  (types === null || types.includes(event)) &&
  (execution_id === null || execution_id === subject) &&
  // Of its own failure no endpoint is told.
  !(event === 'webhook_dead' && subject === id);

/** The messages to the endpoints that an event is for; they belong into the turn that makes it. */
export const overheard = (
  { session_id, webhooks }: SessionContext,
  fact: Fact,
): readonly Pick<Envelope, 'to' | 'message'>[] =>
  (Object.keys(webhooks) as WebhookId[])
    .filter((id) => hears(id, webhooks[id] as LiveWebhook, fact))
    .map((id) => {
      const { event: event_type, seq } = fact;
      const message: WebhookMessage = { type: 'webhook.event', delivery_id: fact.draw(), seq, event_type };
      return { to: webhookAddress(session_id, id), message };
    });
