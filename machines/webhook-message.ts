import type { EventType } from './event.ts';
import type { ClientId, DeliveryId, ExecutionId, SessionId, WebhookId } from './id.ts';

/** An endpoint as the gateway has drawn it: its secret goes round only sealed (contract, section 9). */
export interface NewWebhook {
  readonly webhook_id: WebhookId;
  readonly url: string;
  /** The events that it hears; null for all. */
  readonly types: readonly EventType[] | null;
  readonly sealed: string;
}

/** Why an endpoint ends. Only one that is deleted takes its deliveries along. */
export type WebhookEnd = 'deleted' | 'execution_ended' | 'session_ended';

/** What an endpoint's actor understands. */
export type WebhookMessage =
  | {
      readonly type: 'webhook.open';
      readonly session_id: SessionId;
      readonly webhook: NewWebhook;
      readonly created_by: { readonly principal: string; readonly client_id: ClientId | null };
      /** The execution that it is for; null for all of the session. */
      readonly execution_id: ExecutionId | null;
    }
  /** The session has an event for it. */
  | {
      readonly type: 'webhook.event';
      readonly delivery_id: DeliveryId;
      readonly seq: number;
      readonly event_type: EventType;
    }
  /** One of its deliveries has ended. */
  | { readonly type: 'webhook.settled' }
  /** `asked` names the request, so that a repeat's answer is told from the first. */
  | { readonly type: 'webhook.rotate'; readonly sealed: string; readonly asked: string }
  | { readonly type: 'webhook.end'; readonly reason: WebhookEnd };

/** What a delivery's actor understands. The deliverer's messages carry the attempt they speak of (ring, rule 7). */
export type DeliveryMessage =
  /** Begins a delivery, or one that has ended anew. */
  | {
      readonly type: 'delivery.open';
      readonly session_id: SessionId;
      readonly delivery_id: DeliveryId;
      readonly webhook_id: WebhookId;
      readonly seq: number;
      readonly event_type: EventType;
      /** How many attempts were made before; they go on being counted. */
      readonly attempts: number;
      /** The endpoint counts it among those that are pending. */
      readonly counted: boolean;
      /** Too many are pending: it is dead at once. */
      readonly refused: boolean;
      /** When it was begun first, in ms since the epoch; absent for now. */
      readonly created_at?: number;
    }
  | {
      readonly type: 'delivery.attempted';
      readonly attempt: number;
      readonly ok: boolean;
      /** Of the HTTP response; null where there was none. */
      readonly status: number | null;
      /** Why it failed; null where it did not. */
      readonly reason: string | null;
      /** What the receiver asked to be left alone for. */
      readonly retry_after_ms: number | null;
      /** No further attempt can do better. */
      readonly final: boolean;
    }
  /** The attempt was not made: its turn has not come, or what is needed for it could not be read. */
  | { readonly type: 'delivery.postponed'; readonly attempt: number }
  /** The endpoint is deleted. */
  | { readonly type: 'delivery.cancel' };
