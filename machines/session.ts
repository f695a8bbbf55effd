import { raise, setup } from 'xstate';
import { act, isDue } from './convention.ts';
import type { Effect } from './effect.ts';
import type { Caller } from './message.ts';
import { BLANK_SESSION, expiry, standing } from './session-context.ts';
import type { SessionContext } from './session-context.ts';
import * as authority from './session-authority.ts';
import type { Incoming, Of } from './session-effects.ts';
import * as coordinations from './session-coordinations.ts';
import * as executions from './session-executions.ts';
import * as members from './session-members.ts';
import * as step from './session-steps.ts';
import { createWebhook, webhookGone } from './session-webhooks.ts';

export { idempotencyKey, recallKey } from './session-executions.ts';
export { sessionFailure } from './session-steps.ts';
export type { SessionContext } from './session-context.ts';

type Asked = Extract<Incoming, { caller: Caller }>;

interface Args<Event extends Incoming> {
  readonly context: SessionContext;
  readonly event: Event;
}

const { createMachine } = setup({ types: {} as { context: SessionContext; events: Incoming; emitted: Effect } });

const isOutsider = ({ context, event: { caller } }: Args<Asked>): boolean => standing(context, caller) === null;
const isOwner = ({ context, event: { caller } }: Args<Asked>): boolean => standing(context, caller) === 'owner';
const isArrival = ({ context, event: { client_id, attached } }: Args<Of<'client.presence'>>): boolean =>
  attached && context.clients[client_id] !== undefined;

const outsider = {
  guard: isOutsider,
  actions: act<SessionContext, Asked, Incoming>(step.refuseOutsider),
} as const;

/** The time of some capabilities is over. */
const lapses = {
  guard: ({ context, event: { at } }: Args<Of<'deadline'>>) => isDue(context, at) && step.isLapsing(context, at),
  actions: act<SessionContext, Of<'deadline'>, Incoming>(coordinations.telling(authority.lapse)),
} as const;

const expires = {
  guard: ({ context, event: { at } }: Args<Of<'deadline'>>) => isDue(context, at) && at >= expiry(context),
  target: 'draining',
  actions: act<SessionContext, Of<'deadline'>, Incoming>(step.expire),
} as const;

const resume = act<SessionContext, Incoming, Incoming>(step.resume);
const wakes = [
  outsider,
  { target: 'active', actions: [resume, raise<SessionContext, Asked, Incoming, undefined>(({ event }) => event)] },
] as const;
const presence = act<SessionContext, Of<'client.presence'>, Incoming>(members.presence);
const gone = act<SessionContext, Of<'client.gone'>, Incoming>(coordinations.telling(members.gone));
const violated = { actions: act<SessionContext, Of<'session.violated'>, Incoming>(authority.violated) } as const;
const leave = [
  outsider,
  { actions: act<SessionContext, Of<'session.leave'>, Incoming>(coordinations.telling(members.leave)) },
] as const;

/**
 * A session (contract, section 5): `active ⇄ suspended → draining → closed | expired`. The single writer of who is in
 * it and of what it accepts.
 */
export const session = createMachine({
  id: 'session',
  context: BLANK_SESSION,
  initial: 'new',
  on: {
    'session.*': { actions: act(step.refuse) },
    'execution.changed': { actions: act(executions.changed) },
    'execution.ended': { actions: act(executions.ended) },
    'coordination.ended': { actions: act(coordinations.ended) },
    'session.confirm': { actions: act(coordinations.confirm) },
    'webhook.gone': { actions: act(webhookGone) },
  },
  states: {
    new: {
      on: {
        'session.open': { target: 'active', actions: act(step.open) },
      },
    },
    active: {
      on: {
        'session.register': [outsider, { actions: act(coordinations.telling(members.register)) }],
        'session.leave': leave,
        'session.execute': [outsider, { actions: act(executions.execute) }],
        'session.cancel': [outsider, { actions: act(executions.cancel) }],
        'session.share': [outsider, { actions: act(authority.share) }],
        'session.unshare': [outsider, { actions: act(coordinations.telling(authority.unshare)) }],
        'session.join': { actions: act(coordinations.telling(members.join)) },
        'session.revoke': [outsider, { actions: act(coordinations.telling(authority.revokeCapability)) }],
        'session.ask': [outsider, { actions: act(coordinations.ask) }],
        'session.vote': [outsider, { actions: act(coordinations.vote) }],
        'session.retract': [outsider, { actions: act(coordinations.retract) }],
        'session.webhook': [outsider, { actions: act(createWebhook) }],
        'session.violated': violated,
        'session.close': [
          outsider,
          { guard: isOwner, target: 'draining', actions: act(step.close) },
          { actions: act(step.refuseClose) },
        ],
        'client.presence': { actions: presence },
        'client.gone': { actions: gone },
        deadline: [
          expires,
          {
            guard: ({ context, event: { at } }) => isDue(context, at) && at >= (context.idle_at ?? 0),
            target: 'suspended',
            actions: act(coordinations.telling(step.suspend)),
          },
          lapses,
        ],
      },
    },
    // It restricts nothing: whatever is asked wakes it, and is then decided as ever.
    suspended: {
      on: {
        'session.register': wakes,
        'session.leave': wakes,
        'session.execute': wakes,
        'session.cancel': wakes,
        'session.share': wakes,
        'session.unshare': wakes,
        'session.join': [
          {
            guard: ({ context, event }) => members.openShare(context, event) !== undefined,
            target: 'active',
            actions: [resume, raise<SessionContext, Of<'session.join'>, Incoming, undefined>(({ event }) => event)],
          },
          { actions: act(members.join) },
        ],
        'session.revoke': wakes,
        'session.ask': wakes,
        'session.vote': wakes,
        'session.retract': wakes,
        'session.webhook': wakes,
        'session.violated': violated,
        'session.close': wakes,
        'client.presence': { guard: isArrival, target: 'active', actions: [resume, presence] },
        'client.gone': { actions: act(coordinations.telling(members.forget)) },
        deadline: [expires, lapses],
      },
    },
    draining: {
      always: [
        { guard: ({ context }) => step.isDrained(context) && context.ending === 'expired', target: 'expired' },
        { guard: ({ context }) => step.isDrained(context), target: 'closed' },
      ],
      on: {
        'session.leave': leave,
        'session.violated': violated,
        'session.close': [
          outsider,
          { guard: isOwner, actions: act(step.closeAgain) },
          { actions: act(step.refuseClose) },
        ],
        'client.presence': { actions: presence },
        'client.gone': { actions: gone },
        deadline: [
          {
            guard: ({ context, event: { at } }) => isDue(context, at) && context.ending === 'expired',
            target: 'expired',
          },
          { guard: ({ context, event: { at } }) => isDue(context, at), target: 'closed' },
        ],
      },
    },
    closed: { type: 'final', entry: act(step.finish) },
    expired: { type: 'final', entry: act(step.finish) },
  },
});
