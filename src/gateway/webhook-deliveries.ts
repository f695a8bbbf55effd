import { LRUCache } from 'lru-cache';
import type { Deliveries, DeliveriesParts, DeliveryPlace } from '../../actors/deliveries.ts';
import { addressKey, webhookAddress } from '../../machines/address.ts';
import type { DeliveryAttempt } from '../../machines/effect.ts';
import type { WebhookContext } from '../../machines/webhook.ts';
import type { DeliveryMessage } from '../../machines/webhook-message.ts';
import { SENDER_CLOSED, type AttemptResult, type WebhookSender } from './webhook-sender.ts';

export interface WebhookDeliveriesOptions extends DeliveriesParts {
  readonly sender: WebhookSender;
  /** Told of each attempt that was made. */
  readonly onAttempt?: (ok: boolean) => void;
  /** Something that is needed for an attempt could not be read: it is postponed. */
  readonly onError: (error: unknown) => void;
  readonly limits?: Partial<DeliveriesLimits>;
}

export interface DeliveriesLimits {
  /**
   * Attempts of one endpoint that are with the sender, or whose end is not durable yet, at a time: where the store is
   * slower than the receiver, the receiver waits. Default 8.
   */
  readonly perEndpoint: number;
  /** Attempts that wait here, in all; one more is postponed for about 30 s. Default 100,000. */
  readonly waiting: number;
  /** Text of events that is held for them, in UTF-16 units; what is beyond is read when its turn comes. Default 16 Mi. */
  readonly text: number;
  /** Text of events that were read before their turn, in the same units. Default 4 Mi. */
  readonly ahead: number;
}

export interface WebhookDeliveries extends Deliveries {
  /** Attempts that wait for a place, and that have one. */
  depth(): { readonly waiting: number; readonly sending: number };
}

interface Task {
  readonly attempt: DeliveryAttempt;
  readonly place: DeliveryPlace;
  event: string | null;
}

/** The attempts of one endpoint. */
interface Lane {
  readonly waiting: Set<Task>;
  sending: number;
}

/** What is known of an endpoint; null where it is deleted. */
type Endpoint = Pick<WebhookContext, 'url' | 'secrets'> | null;

const DEFAULT_LIMITS: DeliveriesLimits = {
  perEndpoint: 8,
  waiting: 100_000,
  text: 16 * 1_048_576,
  ahead: 4 * 1_048_576,
};
/** Endpoints that are remembered, and deliveries that are looked at or cancelled at a time. */
const ENDPOINTS = 10_000;
const PAGE = 100;
const READ_AHEAD = 64;
const EVENTS_AHEAD = 4_096;

const failed = (reason: string, final: boolean): Omit<Extract<DeliveryMessage, { ok: boolean }>, 'attempt'> => ({
  type: 'delivery.attempted',
  ok: false,
  status: null,
  reason,
  retry_after_ms: null,
  final,
});

const messageOf = (attempt: number, result: AttemptResult): DeliveryMessage => ({
  type: 'delivery.attempted',
  attempt,
  ok: result.ok,
  status: result.status,
  reason: result.ok ? null : result.reason,
  retry_after_ms: result.ok ? null : result.retryAfterMs,
  final: false,
});

/**
 * Carries committed attempts to the sender, a few of each endpoint at a time, in the order in which they are asked for,
 * and reports how each ended. What it knows of endpoints it forgets as soon as it changes.
 */
export const createWebhookDeliveries = (options: WebhookDeliveriesOptions): WebhookDeliveries => {
  const { report, reads, now, sender, onAttempt = () => {}, onError } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const lanes = new Map<string, Lane>();
  /** Attempts that wait, are made, or whose end is not durable yet, by delivery. */
  const underWay = new Map<string, number>();
  const endpoints = new LRUCache<string, Promise<Endpoint>>({ max: ENDPOINTS });
  const ahead = new LRUCache<string, string>({
    max: EVENTS_AHEAD,
    maxSize: limits.ahead,
    sizeCalculation: (event, key) => event.length + key.length,
  });
  let waiting = 0;
  let sending = 0;
  let text = 0;
  let isClosed = false;

  const readEndpoint = async (id: string, { session }: DeliveryPlace): Promise<Endpoint> => {
    const stored = await reads.actor(addressKey(webhookAddress(session, id)));
    return stored === null || stored.state === 'deleted' ? null : (stored.context as unknown as WebhookContext);
  };
  const endpointOf = (id: string, place: DeliveryPlace): Promise<Endpoint> => {
    const known = endpoints.get(id);
    if (known !== undefined) return known;
    const read = readEndpoint(id, place);
    endpoints.set(id, read);
    read.catch(() => endpoints.delete(id));
    return read;
  };
  /** After a restart the next is mostly wanted next, and a read of each would wait for the journal each time. */
  const readEvent = async ({ session }: DeliveryPlace, seq: number): Promise<string | null> => {
    const known = ahead.get(`${session} ${seq}`);
    if (known !== undefined) return known;
    const { events, first } = await reads.events(session, { after: seq - 1, limit: READ_AHEAD });
    if (first > seq) return null;
    for (const [index, event] of events.entries()) ahead.set(`${session} ${seq + index}`, event);
    return events[0] ?? null;
  };

  /** How an attempt ended; null where that is not known, and it is asked for again at the next start. */
  const attempted = async ({ attempt, place, event }: Task): Promise<DeliveryMessage | null> => {
    const { delivery_id, webhook_id, seq, attempt: number } = attempt;
    try {
      const endpoint = await endpointOf(webhook_id, place);
      if (endpoint === null) return { type: 'delivery.cancel' };
      const body = event ?? (await readEvent(place, seq));
      if (body === null) return { ...failed('event_expired', true), attempt: number };
      const secrets = endpoint.secrets.filter(({ until }) => until === null || until > now());
      const sealed = secrets.map((secret) => secret.sealed);
      const result = await sender.send({
        id: delivery_id,
        endpoint: webhook_id,
        url: endpoint.url,
        secrets: sealed,
        body,
      });
      if (!result.ok && result.reason === SENDER_CLOSED) return null;
      onAttempt(result.ok);
      return messageOf(number, result);
    } catch (error) {
      if (isClosed) return null;
      onError(error);
      return { type: 'delivery.postponed', attempt: number };
    }
  };

  const tell = async ({ attempt: { delivery_id, attempt }, place }: Task, message: DeliveryMessage): Promise<void> => {
    await report(delivery_id, place, message).committed;
    if (underWay.get(delivery_id) === attempt) underWay.delete(delivery_id);
  };

  const make = async (lane: Lane, task: Task): Promise<void> => {
    lane.sending += 1;
    sending += 1;
    const message = await attempted(task);
    if (message !== null) await tell(task, message);
    lane.sending -= 1;
    sending -= 1;
    pump(task.attempt.webhook_id, lane);
  };

  const pump = (id: string, lane: Lane): void => {
    while (lane.sending < limits.perEndpoint) {
      const [task] = lane.waiting;
      if (task === undefined) break;
      lane.waiting.delete(task);
      waiting -= 1;
      text -= task.event?.length ?? 0;
      void make(lane, task);
    }
    if (lane.sending === 0) lanes.delete(id);
  };

  /** With a deleted endpoint its deliveries end; those that are not found here end when their time comes. */
  const cancelAll = async (id: string, place: DeliveryPlace): Promise<void> => {
    if ((await endpointOf(id, place)) !== null) return;
    for (let after: string | undefined = ''; after !== undefined && !isClosed; ) {
      const page = await reads.labelled('delivery', id, { after, limit: PAGE });
      const live = page.filter(({ done }) => !done);
      await Promise.all(live.map((each) => report(each.id, place, { type: 'delivery.cancel' }).committed));
      after = page.length < PAGE ? undefined : page.at(-1)?.id;
    }
  };

  return {
    deliver: (attempt, place, event) => {
      if (isClosed) return;
      const task: Task = { attempt, place, event };
      underWay.set(attempt.delivery_id, attempt.attempt);
      if (waiting >= limits.waiting) return void tell(task, { type: 'delivery.postponed', attempt: attempt.attempt });
      if (text + (event?.length ?? 0) > limits.text) task.event = null;
      text += task.event?.length ?? 0;
      waiting += 1;
      const id = attempt.webhook_id;
      const lane = lanes.get(id) ?? { waiting: new Set(), sending: 0 };
      lanes.set(id, lane);
      lane.waiting.add(task);
      pump(id, lane);
    },
    changed: (id, place) => {
      endpoints.delete(id);
      if (!isClosed) cancelAll(id, place).catch(onError);
    },
    has: (delivery, attempt) => underWay.get(delivery) === attempt,
    depth: () => ({ waiting, sending }),
    close: async (graceMs) => {
      isClosed = true;
      for (const lane of lanes.values()) lane.waiting.clear();
      waiting = 0;
      await sender.close(graceMs);
    },
  };
};
