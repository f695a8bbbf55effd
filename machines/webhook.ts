import { setup } from 'xstate';
import { deliveryAddress, sessionAddress } from './address.ts';
import { UNBOUND, act, isDue, refusal, reply, send } from './convention.ts';
import type { Convention, Step } from './convention.ts';
import type { Effect } from './effect.ts';
import type { EventType } from './event.ts';
import type { ExecutionId, SessionId, WebhookId } from './id.ts';
import type { Caller, DeadlineMessage, SessionMessage, Taken } from './message.ts';
import type { DeliveryMessage, WebhookEnd, WebhookMessage } from './webhook-message.ts';

/** A secret as it is kept; `until` in ms since the epoch, null for the newest. */
interface SealedSecret {
  readonly sealed: string;
  readonly until: number | null;
}

/** What is kept of an endpoint; blank only in the state `new`. */
export interface WebhookContext extends Convention {
  readonly session_id: SessionId;
  readonly webhook_id: WebhookId;
  readonly url: string;
  /** Null for all. */
  readonly types: readonly EventType[] | null;
  /** The newest first; two while the older one still holds. */
  readonly secrets: readonly SealedSecret[];
  readonly created_by: Caller;
  /** The execution that it is for; null for all of the session. */
  readonly execution_id: ExecutionId | null;
  /** Deliveries that have not ended. */
  readonly pending: number;
  /** These in ms since the epoch. */
  readonly created_at: number | null;
  readonly ended_at: number | null;
}

export const WEBHOOK_LIMITS = {
  /** Deliveries of one endpoint that have not ended; each one more is dead at once. */
  pending: 10_000,
  /** How long the older secret holds beside the newer. */
  overlap_ms: 24 * 3_600_000,
} as const;

type Incoming = (WebhookMessage | DeadlineMessage) & Taken;
type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
type Now = Step<WebhookContext>;

const toSession = ({ session_id, webhook_id }: WebhookContext): Effect => {
  const message: SessionMessage = { type: 'webhook.gone', webhook_id };
  return send(sessionAddress(session_id), message);
};

const outdated = ({ webhook_id }: WebhookContext): Effect => ({ type: 'webhook', webhook_id });

/** The session that opens it answers the request. */
const open = (_: WebhookContext, { session_id, webhook, created_by, execution_id, at }: Of<'webhook.open'>): Now => {
  const { webhook_id, url, types, sealed } = webhook;
  const secrets = [{ sealed, until: null }];
  return { change: { session_id, webhook_id, url, types, secrets, created_by, execution_id, created_at: at } };
};

/** A delivery for each event, made in the turn that makes the event: none is lost between the log and its delivery. */
const hear = (context: WebhookContext, { delivery_id, seq, event_type }: Of<'webhook.event'>): Now => {
  const { session_id, webhook_id, pending } = context;
  const refused = pending >= WEBHOOK_LIMITS.pending;
  const message: DeliveryMessage = {
    type: 'delivery.open',
    session_id,
    delivery_id,
    webhook_id,
    seq,
    event_type,
    attempts: 0,
    counted: !refused,
    refused,
  };
  return {
    ...(refused ? {} : { change: { pending: pending + 1 } }),
    effects: [send(deliveryAddress(session_id, delivery_id), message, true)],
  };
};

const settled = ({ pending }: WebhookContext): Now => ({ change: { pending: Math.max(0, pending - 1) } });

/** The secret before stays good for a time, so that the receiver may change over; one still older ends now. */
const rotate = (context: WebhookContext, { sealed, asked, at }: Of<'webhook.rotate'>): Now => {
  const { webhook_id, secrets } = context;
  const until = at + WEBHOOK_LIMITS.overlap_ms;
  const before = secrets.slice(0, 1).map((secret) => ({ ...secret, until }));
  return {
    change: { secrets: [{ sealed, until: null }, ...before], deadline: until },
    effects: [outdated(context), reply({ webhook_id, old_until: until, asked })],
  };
};

const dropOld = (context: WebhookContext): Now => ({
  change: { secrets: context.secrets.slice(0, 1), deadline: null },
  effects: [outdated(context)],
});

const end = (context: WebhookContext, { reason, at }: Of<'webhook.end'>): Now => {
  const { webhook_id } = context;
  const isDeleted = reason === 'deleted';
  return {
    change: { ended_at: at, ...(isDeleted ? { secrets: [], deadline: null } : {}) },
    // Of another end the session knows already.
    effects: isDeleted ? [toSession(context), outdated(context), reply({ webhook_id, status: 'deleted' })] : [],
  };
};

/** The actor itself was given up: its place is free. */
export const webhookFailure = (context: WebhookContext): readonly Effect[] =>
  context.created_at === null ? [] : [toSession(context), outdated(context)];

const BLANK: WebhookContext = {
  ...UNBOUND,
  session_id: null as never,
  webhook_id: null as never,
  url: '',
  types: null,
  secrets: [],
  created_by: null as never,
  execution_id: null,
  pending: 0,
  created_at: null,
  ended_at: null,
};

const { createMachine } = setup({ types: {} as { context: WebhookContext; events: Incoming; emitted: Effect } });

const isEnd =
  (wanted: WebhookEnd) =>
  ({ event: { reason } }: { readonly event: Of<'webhook.end'> }): boolean =>
    reason === wanted;
const hears = { actions: act<WebhookContext, Of<'webhook.event'>, Incoming>(hear) } as const;
const settles = { actions: act<WebhookContext, Of<'webhook.settled'>, Incoming>(settled) } as const;
const rotates = { actions: act<WebhookContext, Of<'webhook.rotate'>, Incoming>(rotate) } as const;
const ends = act<WebhookContext, Of<'webhook.end'>, Incoming>(end);
const isDeleted = { guard: isEnd('deleted'), target: 'deleted', actions: ends } as const;
const forgets = {
  guard: ({ context, event: { at } }: { readonly context: WebhookContext; readonly event: Of<'deadline'> }) =>
    isDue(context, at),
  actions: act<WebhookContext, Of<'deadline'>, Incoming>(dropOld),
} as const;
const refuseUnknown = act<WebhookContext, Of<'webhook.rotate'>, Incoming>(() => ({
  effects: [refusal('not_found', 'there is no such webhook')],
}));

/**
 * An endpoint that hears of a session (contract, section 9): `live → (ending) → ended | deleted`. What is pending when it
 * ends with its session or its execution is still tried; with an endpoint that is deleted its deliveries end.
 */
export const webhook = createMachine({
  id: 'webhook',
  context: BLANK,
  initial: 'new',
  states: {
    new: {
      on: {
        'webhook.open': { target: 'live', actions: act(open) },
        'webhook.rotate': { actions: refuseUnknown },
      },
    },
    live: {
      on: {
        'webhook.event': hears,
        'webhook.settled': settles,
        'webhook.rotate': rotates,
        'webhook.end': [isDeleted, { target: 'ending', actions: ends }],
        deadline: forgets,
      },
    },
    ending: {
      always: { guard: ({ context: { pending } }) => pending === 0, target: 'ended' },
      on: {
        'webhook.event': hears,
        'webhook.settled': settles,
        'webhook.rotate': rotates,
        'webhook.end': isDeleted,
        deadline: forgets,
      },
    },
    ended: { type: 'final' },
    deleted: { type: 'final' },
  },
});
