import { setup } from 'xstate';
import { act, isDue } from './convention.ts';
import type { Effect } from './effect.ts';
import { BLANK_EXECUTION, expiry } from './execution-context.ts';
import type { ExecutionContext, Incoming, Of } from './execution-context.ts';
import * as step from './execution-steps.ts';

export { executionFailure } from './execution-steps.ts';
export type { ExecutionContext } from './execution-context.ts';

interface Args<Type extends Incoming['type']> {
  readonly context: ExecutionContext;
  readonly event: Of<Type>;
}

/** Late news of a start that is not the current one is ignored (ring, rule 7). */
const isCurrent = ({ context, event: { start: of } }: Args<Extract<Incoming, { start: number }>['type']>): boolean =>
  of === context.starts;

/** Nothing to wait for would be for ever. */
const isSuspension = ({ context, event: { start: of, asked, suspended } }: Args<'execution.wait'>): boolean =>
  of === context.starts && suspended && asked.length + context.awaited.length > 0;

/** Its time is over, but the deadline has not come yet: it does not count anew after the sleep. */
const isTooLate = (args: Args<'execution.wait'>): boolean =>
  isSuspension(args) && args.event.at >= expiry(args.context);

const isExpired = ({ context, event: { at } }: Args<'deadline'>): boolean =>
  isDue(context, at) && at >= expiry(context);

const { createMachine } = setup({
  types: {} as { context: ExecutionContext; events: Incoming; emitted: Effect },
});

const cancels = {
  target: 'cancelled',
  actions: act<ExecutionContext, Of<'execution.cancel'>, Incoming>(step.cancel),
} as const;
const revokes = {
  // Its own may have expired since; what it was charged to still tells from where it descended.
  guard: ({ context: { capability_id, charged }, event: { capability_ids } }: Args<'execution.revoke'>) =>
    [capability_id, ...charged].some((id) => capability_ids.includes(id)),
  target: 'cancelled',
  actions: act<ExecutionContext, Of<'execution.revoke'>, Incoming>(step.cancelRevoked),
} as const;
const keepsAnswer = {
  actions: act<ExecutionContext, Of<'execution.confirmed'>, Incoming>(step.keepAnswer),
} as const;
const timesOut = {
  guard: isExpired,
  target: 'timed_out',
  actions: act<ExecutionContext, Of<'deadline'>, Incoming>(step.timeOut),
} as const;

/**
 * One run of a command (contract, section 8): `queued → (awaiting_confirmation) → running ⇄ waiting → (retrying) →
 * completed | failed | cancelled | timed_out`.
 */
export const execution = createMachine({
  id: 'execution',
  context: BLANK_EXECUTION,
  initial: 'new',
  on: {
    'execution.accept': { actions: act(step.refuseAccept) },
  },
  states: {
    new: {
      on: {
        'execution.accept': [
          {
            guard: ({ event: { confirmation } }) => confirmation !== undefined,
            target: 'awaiting_confirmation',
            actions: act(step.accept),
          },
          { guard: ({ event: { reserved } }) => reserved, target: 'running', actions: act(step.accept) },
          { target: 'queued', actions: act(step.accept) },
        ],
        'execution.cancel': { actions: act(step.refuseCancel) },
      },
    },
    // It has no place anywhere, and its time does not count: the question has a deadline of its own.
    awaiting_confirmation: {
      on: {
        'execution.cancel': cancels,
        'execution.revoke': revokes,
        'execution.confirmed': [
          {
            guard: ({ context, event: { confirmation } }) => confirmation.coordination_id !== context.confirmation,
          },
          {
            guard: ({ event: { confirmation } }) => confirmation.status === 'confirmed',
            target: 'queued',
            actions: act(step.confirmed),
          },
          {
            guard: ({ event: { confirmation } }) => confirmation.status === 'cancelled',
            target: 'cancelled',
            actions: act(step.notConfirmed),
          },
          { target: 'failed', actions: act(step.notConfirmed) },
        ],
      },
    },
    queued: {
      on: {
        'execution.confirmed': keepsAnswer,
        'execution.cancel': cancels,
        'execution.revoke': revokes,
        'execution.start': { target: 'running', actions: act(step.start) },
        deadline: timesOut,
      },
    },
    running: {
      on: {
        'execution.confirmed': keepsAnswer,
        'execution.cancel': cancels,
        'execution.revoke': revokes,
        'execution.progress': { guard: isCurrent, actions: act(step.progress) },
        'execution.output': { guard: isCurrent, actions: act(step.output) },
        'execution.step': { guard: isCurrent, actions: act(step.step) },
        'execution.wait': [
          { guard: isTooLate, target: 'timed_out', actions: act(step.timeOut) },
          { guard: isSuspension, target: 'waiting', actions: act(step.wait) },
          { guard: isCurrent, actions: act(step.ask) },
        ],
        'execution.complete': { guard: isCurrent, target: 'completed', actions: act(step.complete) },
        'execution.fail': [
          {
            guard: ({ context, event: message }) =>
              message.start === context.starts && step.mayRetry(context, message.retryable),
            target: 'retrying',
            actions: act(step.retry),
          },
          { guard: isCurrent, target: 'failed', actions: act(step.fail) },
        ],
        deadline: timesOut,
      },
    },
    // Holds no thread and no place, and its time does not count.
    waiting: {
      on: {
        'execution.confirmed': {
          guard: ({ context, event: message }) => step.isAwaited(context, message),
          target: 'queued',
          actions: act(step.wakeAnswered),
        },
        'execution.cancel': cancels,
        'execution.revoke': revokes,
        deadline: {
          guard: ({ context, event: { at } }) => isDue(context, at),
          target: 'queued',
          actions: act(step.wake),
        },
      },
    },
    retrying: {
      on: {
        'execution.confirmed': keepsAnswer,
        'execution.cancel': cancels,
        'execution.revoke': revokes,
        'execution.start': { target: 'running', actions: act(step.start) },
        deadline: [
          timesOut,
          { guard: ({ context, event: { at } }) => isDue(context, at), target: 'queued', actions: act(step.requeue) },
        ],
      },
    },
    completed: { type: 'final' },
    failed: { type: 'final' },
    cancelled: { type: 'final' },
    timed_out: { type: 'final' },
  },
});
