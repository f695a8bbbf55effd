import type { Address } from './address.ts';
import type { AuditType } from './audit.ts';
import type { Problem } from './error.ts';
import type { EventType, Severity } from './event.ts';
import type { ArtifactInfo } from './command.ts';
import type { ClientId, DeliveryId, ExecutionId, WebhookId } from './id.ts';
import type { Recorded } from './step.ts';

/**
 * What a machine wants done, as data. Machines emit effects (XState `emit`); the turn collects them; nothing happens
 * before the journal has committed the turn.
 */
export type Effect =
  | {
      readonly type: 'event';
      readonly event: EventType;
      /** What the event is about; the session where nothing else fits. */
      readonly subject: string;
      readonly data: Record<string, unknown>;
      readonly severity?: Severity;
    }
  /** A record of the audit, durable with the turn, hence before whatever the turn lets out (contract, promise 15). */
  | { readonly type: 'audit'; readonly audit: AuditType; readonly data: Record<string, unknown> }
  /** Answers the request that this message came with; nothing where it came with none. */
  | { readonly type: 'reply'; readonly answer: Answer }
  /** A message to another actor; `fresh` creates it. */
  | {
      readonly type: 'send';
      readonly to: Address;
      readonly message: { readonly type: string };
      readonly fresh?: boolean;
    }
  /** Remembers what an idempotency key of this session stands for. */
  | { readonly type: 'remember'; readonly key: string; readonly value: unknown }
  /** Waits on the agent pool for a place; the pool answers with `execution.start`. */
  | { readonly type: 'enqueue'; readonly execution_id: ExecutionId; readonly priority: number }
  /** Runs the handler. The start is counted in the snapshot of the same turn. */
  | { readonly type: 'run'; readonly run: Run }
  /** Takes the execution from the pool: from its queue, or by signal and then by force. */
  | { readonly type: 'stop'; readonly execution_id: ExecutionId; readonly reason: 'cancelled' | 'timed_out' }
  /** Ends every connection of a client whose right to be there has ended. */
  | { readonly type: 'cut'; readonly client_id: ClientId }
  /** Sends an event to an endpoint. The attempt is counted in the snapshot of the same turn. */
  | { readonly type: 'deliver'; readonly attempt: DeliveryAttempt }
  /** What is known of this endpoint outside the ring is outdated. */
  | { readonly type: 'webhook'; readonly webhook_id: WebhookId };

/** What it takes to send an event once; all that is remembered of an attempt over a restart. */
export interface DeliveryAttempt {
  readonly delivery_id: DeliveryId;
  readonly webhook_id: WebhookId;
  /** Of the event, in the session of both. */
  readonly seq: number;
  /** The number of this attempt, by which late news of an earlier one is told (ring, rule 7). */
  readonly attempt: number;
}

/** What the agent pool needs for one run. */
export interface Run {
  readonly execution_id: ExecutionId;
  /** The number of this start, by which late news of an earlier one is told (ring, rule 7). */
  readonly start: number;
  /** 1, and one more after each failure; waking is no new attempt. */
  readonly attempt: number;
  readonly command: string;
  readonly args: unknown;
  readonly idempotency_key: string;
  /** What earlier runs have finished, in that order, and what they have asked for; absent where there is nothing. */
  readonly recorded?: readonly Recorded[];
  readonly awaited?: readonly { readonly key: string; readonly remaining_ms: number | null }[];
  /** What earlier runs have written. */
  readonly artifacts?: readonly ArtifactInfo[];
}

export type Answer =
  | { readonly ok: true; readonly body: Record<string, unknown> }
  | { readonly ok: false; readonly problem: Problem };
