import type { DeliveryAttempt } from '../machines/effect.ts';
import type { SessionId } from '../machines/id.ts';
import type { DeliveryMessage } from '../machines/webhook-message.ts';
import type { Reads } from './reads.ts';

/** The session of an endpoint and its deliveries. */
export interface DeliveryPlace {
  readonly session: SessionId;
}

/**
 * The Deliveries port: who carries events to endpoints. The ring hands it only committed attempts; how each ended
 * re-enters the ring as a message to the delivery's actor. Nothing here is durable: after a restart the ring asks again.
 */
export interface Deliveries {
  /** Makes one attempt. `event` is the event's JSON where it is at hand; otherwise it is read from the log. */
  deliver(attempt: DeliveryAttempt, place: DeliveryPlace, event: string | null): void;
  /** What is known of this endpoint is outdated. */
  changed(webhook: string, place: DeliveryPlace): void;
  /** Whether this attempt is under way here: what a restarted shard need not ask for again. */
  has(delivery: string, attempt: number): boolean;
  /** Begins nothing more, gives what is under way `graceMs`; what has not ended by then is asked for at the next start. */
  close(graceMs: number): Promise<void>;
}

/** How an attempt's end is reported; `committed` resolves once it is durable. */
export type DeliveryReport = (
  delivery: string,
  place: DeliveryPlace,
  message: DeliveryMessage,
) => { readonly committed: Promise<void> };

/** What a ring gives to who delivers. */
export interface DeliveriesParts {
  readonly report: DeliveryReport;
  readonly reads: Reads;
  /** Milliseconds since the epoch by the ring's clock. */
  readonly now: () => number;
}

/** Delivers nothing: what is to be delivered waits on the disk. */
export const NO_DELIVERIES: Deliveries = {
  deliver: () => {},
  changed: () => {},
  has: () => true,
  close: async () => {},
};
