import { enqueueActions } from 'xstate';
import type { ActionFunction, EventObject } from 'xstate';
import type { Address } from './address.ts';
import type { Effect } from './effect.ts';
import { problem } from './error.ts';
import type { ErrorCode, Problem } from './error.ts';
import type { EventType, Severity } from './event.ts';

/**
 * What the host reads from every context. A context is plain JSON and is replaced, never changed in place, so that
 * `{value, context}` is the whole snapshot and restores with `machine.resolveState`.
 */
export interface Convention {
  /** When the machine wants to be woken, in ms since the epoch; a `deadline` message comes then or later, never before. */
  readonly deadline: number | null;
  /**
   * What it waits for from outside the ring: `run:<start>`, `enqueue:<priority>`, `presence` or
   * `deliver:<attempt>:<seq>:<webhook>`.
   */
  readonly waits: string | null;
  /** By what it can be listed. */
  readonly label: string | null;
}

export const UNBOUND: Convention = { deadline: null, waits: null, label: null };

/** What one message does to one machine: the parts of its context that change, and effects in order. */
export interface Step<Context, Emitted = Effect> {
  readonly change?: Partial<Context>;
  readonly effects?: readonly Emitted[];
}

/** A pure decision as an XState action. */
export const act = <
  Context extends Convention,
  Event extends Incoming,
  Incoming extends EventObject,
  Emitted extends EventObject = Effect,
>(
  decide: (context: Context, event: Event) => Step<Context, Emitted>,
): ActionFunction<Context, Event, Incoming, undefined, never, never, never, never, Emitted> =>
  enqueueActions<Context, Event, undefined, Incoming, never, never, never, never, Emitted>(
    ({ context, event, enqueue }) => {
      const { change, effects } = decide(context, event);
      if (change !== undefined) enqueue.assign(change);
      if (effects !== undefined) for (const effect of effects) enqueue.emit(effect);
    },
  );

/** Whether a `deadline` message is due: one set for an earlier deadline may still be under way. */
export const isDue = (context: Convention, at: number): boolean => context.deadline !== null && at >= context.deadline;

export const reply = (body: Record<string, unknown>): Effect => ({ type: 'reply', answer: { ok: true, body } });

export const refusal = (code: ErrorCode, detail: string, more?: Partial<Problem>): Effect => ({
  type: 'reply',
  answer: { ok: false, problem: problem(code, detail, more) },
});

export const event = (
  type: EventType,
  subject: string,
  data: Record<string, unknown>,
  severity?: Severity,
): Effect => ({ type: 'event', event: type, subject, data, ...(severity === undefined ? {} : { severity }) });

export const send = (to: Address, message: { readonly type: string }, fresh = false): Effect =>
  fresh ? { type: 'send', to, message, fresh } : { type: 'send', to, message };
