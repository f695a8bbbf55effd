import { setup } from 'xstate';
import { webhookAddress } from './address.ts';
import { DELIVERY_WAITS_MS, spread } from './backoff.ts';
import { UNBOUND, act, event, isDue, refusal, reply, send } from './convention.ts';
import type { Convention, Step } from './convention.ts';
import type { Effect } from './effect.ts';
import type { EventType } from './event.ts';
import type { DeliveryId, SessionId, WebhookId } from './id.ts';
import type { DeadlineMessage, Taken } from './message.ts';
import type { DeliveryMessage } from './webhook-message.ts';

/** One event on its way to one endpoint; blank only in the state `new`. The event itself is in the log, by its `seq`. */
export interface DeliveryContext extends Convention {
  readonly session_id: SessionId;
  /** Also the `webhook-id` of what is sent: the same for every attempt. */
  readonly delivery_id: DeliveryId;
  readonly webhook_id: WebhookId;
  readonly seq: number;
  readonly event_type: EventType;
  /** How many attempts were begun in all, and how many of them before it began anew. */
  readonly attempts: number;
  readonly earlier: number;
  /** The endpoint counts it among those that are pending. */
  readonly counted: boolean;
  /** How the last attempt ended: the status of the response, and why it failed. */
  readonly last_status: number | null;
  readonly reason: string | null;
  /** These in ms since the epoch. */
  readonly created_at: number | null;
  readonly attempted_at: number | null;
  readonly ended_at: number | null;
}

/** One attempt, and one for each wait. */
export const MAX_DELIVERY_ATTEMPTS = DELIVERY_WAITS_MS.length + 1;

/** How long one waits whose attempt could not be made. */
const POSTPONED_MS = 30_000;
/** A receiver is left alone for no longer than this. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

type Incoming = (DeliveryMessage | DeadlineMessage) & Taken;
type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
type Now = Step<DeliveryContext>;
interface Args<Type extends Incoming['type']> {
  readonly context: DeliveryContext;
  readonly event: Of<Type>;
}

/** Counts the next attempt and asks for it. */
const attempt = (context: DeliveryContext): Required<Now> => {
  const { delivery_id, webhook_id, seq } = context;
  const number = context.attempts + 1;
  return {
    change: { attempts: number, deadline: null, waits: `deliver:${number}:${seq}:${webhook_id}` },
    effects: [{ type: 'deliver', attempt: { delivery_id, webhook_id, seq, attempt: number } }],
  };
};

const settle = ({ session_id, webhook_id, counted }: DeliveryContext): readonly Effect[] =>
  counted ? [send(webhookAddress(session_id, webhook_id), { type: 'webhook.settled' })] : [];

/**
 * Nobody delivers it any more. Of a `webhook_dead` that could not be delivered nothing is said: two endpoints that are
 * both gone would tell each other for ever.
 */
const dead = (context: DeliveryContext, last_status: number | null, reason: string, at: number): Required<Now> => {
  const { webhook_id, delivery_id, seq, event_type, attempts } = context;
  const data = { webhook_id, delivery_id, event_seq: seq, event_type, attempts, last_status, reason };
  return {
    change: { deadline: null, waits: null, last_status, reason, ended_at: at },
    effects: [
      ...settle(context),
      ...(event_type === 'webhook_dead' ? [] : [event('webhook_dead', webhook_id, data, 'warning')]),
    ],
  };
};

const opened = (_: DeliveryContext, message: Of<'delivery.open'>): Partial<DeliveryContext> => {
  const { session_id, delivery_id, webhook_id, seq, event_type, attempts, counted, created_at, at } = message;
  const head = { session_id, delivery_id, webhook_id, seq, event_type, attempts, earlier: attempts, counted };
  return { ...head, label: webhook_id, created_at: created_at ?? at };
};

/** Who began it anew hears so; of a new one nobody has asked. */
const open = (blank: DeliveryContext, message: Of<'delivery.open'>): Now => {
  const context = { ...blank, ...opened(blank, message) };
  const { change, effects } = attempt(context);
  const { delivery_id, counted } = context;
  const answer = counted ? [] : [reply({ delivery_id, status: 'attempting' })];
  return { change: { ...context, ...change }, effects: [...effects, ...answer] };
};

const refuse = (blank: DeliveryContext, message: Of<'delivery.open'>): Now => {
  const context = { ...blank, ...opened(blank, message) };
  const { change, effects } = dead(context, null, 'too many deliveries of this webhook wait', message.at);
  return { change: { ...context, ...change }, effects };
};

const succeed = (context: DeliveryContext, { status, at }: Of<'delivery.attempted'>): Now => ({
  change: { waits: null, last_status: status, reason: null, attempted_at: at, ended_at: at },
  effects: settle(context),
});

const isLast = ({ attempts, earlier }: DeliveryContext): boolean => attempts - earlier >= MAX_DELIVERY_ATTEMPTS;

/** A receiver that asks for it is left alone for longer, never for less. */
const wait = (context: DeliveryContext, message: Of<'delivery.attempted'>): Now => {
  const { status, reason, retry_after_ms, at, random } = message;
  const { attempts, earlier } = context;
  const own = spread(DELIVERY_WAITS_MS[attempts - earlier - 1] ?? 0, random);
  const asked = Math.min(retry_after_ms ?? 0, LONGEST_RETRY_AFTER_MS);
  return {
    change: { waits: null, deadline: at + Math.max(own, asked), last_status: status, reason, attempted_at: at },
  };
};

const giveUp = (context: DeliveryContext, { status, reason, at }: Of<'delivery.attempted'>): Now => {
  const { change, effects } = dead(context, status, reason ?? 'it failed', at);
  return { change: { ...change, attempted_at: at }, effects };
};

/** What was not made does not count. */
const postpone = ({ attempts }: DeliveryContext, { at, random }: Of<'delivery.postponed'>): Now => ({
  change: { attempts: attempts - 1, waits: null, deadline: at + spread(POSTPONED_MS, random) },
});

const cancel = (context: DeliveryContext, { at }: Of<'delivery.cancel'>): Now => ({
  change: { deadline: null, waits: null, ended_at: at },
  effects: settle(context),
});

/** The actor itself was given up: nobody tries any more. */
export const deliveryFailure = (context: DeliveryContext): readonly Effect[] =>
  context.created_at === null ? [] : settle(context);

const isCurrent = ({ context, event: { attempt: of } }: Args<'delivery.attempted' | 'delivery.postponed'>): boolean =>
  of === context.attempts;

const BLANK: DeliveryContext = {
  ...UNBOUND,
  session_id: null as never,
  delivery_id: null as never,
  webhook_id: null as never,
  seq: 0,
  event_type: null as never,
  attempts: 0,
  earlier: 0,
  counted: false,
  last_status: null,
  reason: null,
  created_at: null,
  attempted_at: null,
  ended_at: null,
};

const { createMachine } = setup({ types: {} as { context: DeliveryContext; events: Incoming; emitted: Effect } });

const underWay = {
  actions: act<DeliveryContext, Of<'delivery.open'>, Incoming>(() => ({
    effects: [refusal('conflict', 'the delivery is under way')],
  })),
} as const;
const cancels = {
  target: 'cancelled',
  actions: act<DeliveryContext, Of<'delivery.cancel'>, Incoming>(cancel),
} as const;

/**
 * One webhook call with its retries (contract, section 9): `attempting ⇄ waiting → delivered | dead | cancelled`. Each
 * attempt is counted durably before it is made, so that after a crash it is made again: at least once.
 */
export const delivery = createMachine({
  id: 'delivery',
  context: BLANK,
  initial: 'new',
  states: {
    new: {
      on: {
        'delivery.open': [
          { guard: ({ event: { refused } }) => refused, target: 'dead', actions: act(refuse) },
          { target: 'attempting', actions: act(open) },
        ],
      },
    },
    attempting: {
      on: {
        'delivery.open': underWay,
        'delivery.attempted': [
          { guard: (args) => isCurrent(args) && args.event.ok, target: 'delivered', actions: act(succeed) },
          {
            guard: (args) => isCurrent(args) && (args.event.final || isLast(args.context)),
            target: 'dead',
            actions: act(giveUp),
          },
          { guard: isCurrent, target: 'waiting', actions: act(wait) },
        ],
        'delivery.postponed': { guard: isCurrent, target: 'waiting', actions: act(postpone) },
        'delivery.cancel': cancels,
      },
    },
    waiting: {
      on: {
        'delivery.open': underWay,
        'delivery.cancel': cancels,
        deadline: {
          guard: ({ context, event: { at } }) => isDue(context, at),
          target: 'attempting',
          actions: act(attempt),
        },
      },
    },
    delivered: { type: 'final' },
    dead: { type: 'final' },
    cancelled: { type: 'final' },
  },
});
