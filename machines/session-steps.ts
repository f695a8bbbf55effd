import { EMPTY_LEDGER } from './charge.ts';
import { event, refusal, reply } from './convention.ts';
import type { Effect } from './effect.ts';
import type { ClientId, ShareId } from './id.ts';
import type { Caller } from './message.ts';
import { lapse } from './session-authority.ts';
import { cancelAll } from './session-coordinations.ts';
import { SESSION_LIMITS, expiry, touched, unattended } from './session-context.ts';
import type { SessionContext } from './session-context.ts';
import { forbid, toClient, toExecution, toShare } from './session-effects.ts';
import type { Incoming, Now, Of } from './session-effects.ts';
import { joined, welcome } from './session-members.ts';
import { addWebhook, endWebhooks } from './session-webhooks.ts';
import type { Added } from './session-webhooks.ts';

const fact = (
  { session_id }: SessionContext,
  type: 'opened' | 'suspended' | 'resumed' | 'closed' | 'expired',
  data: Record<string, unknown> = {},
): Effect => event(`session_${type}`, session_id, { session_id, ...data });

export const open = (blank: SessionContext, message: Of<'session.open'>): Now => {
  const { session_id, owner, root_capability_id, ttl_ms, client, webhook, at } = message;
  const { client_id } = client;
  // A session that is new has room for one.
  const { webhooks, effects } = addWebhook({ ...blank, session_id }, webhook, { principal: owner, client_id }) as Added;
  const opened: Partial<SessionContext> = {
    session_id,
    owner,
    root_capability_id,
    ttl_ms,
    label: owner,
    opened_at: at,
    clients: { [client_id]: joined(client) },
    webhooks,
  };
  const context = { ...blank, ...opened };
  return {
    change: touched(context, at, opened),
    effects: [
      ...effects,
      fact(context, 'opened', { owner, ttl_ms }),
      toClient(context, client_id, { type: 'client.open', session_id, client }, true),
      welcome(context, client),
    ],
  };
};

/** From here on nothing new is accepted; what runs is cancelled and given a time to end. */
const drain = (context: SessionContext, at: number, ending: 'closed' | 'expired'): Required<Now> => ({
  change: { ending, deadline: at + SESSION_LIMITS.drain_ms },
  effects: [
    ...context.executions.map(({ id }) => toExecution(context, id, { type: 'execution.cancel', by: null })),
    ...cancelAll(context),
  ],
});

/** Nothing is left whose end anybody waits for. */
export const isDrained = ({ executions, coordinations }: SessionContext): boolean =>
  executions.length === 0 && coordinations.length === 0;

export const close = (context: SessionContext, { at }: Of<'session.close'>): Now => {
  const { session_id } = context;
  const { change, effects } = drain(context, at, 'closed');
  const status = isDrained(context) ? 'closed' : 'draining';
  return { change: { ...change, last_active_at: at }, effects: [reply({ session_id, status }), ...effects] };
};

export const expire = (context: SessionContext, { at }: Of<'deadline'>): Now => drain(context, at, 'expired');

/** Closing twice is closing once. */
export const closeAgain = ({ session_id }: SessionContext): Now => ({
  effects: [reply({ session_id, status: 'draining' })],
});

export const refuseClose = (): Now => ({ effects: [forbid('owner', 'only the owner closes the session')] });

/** Nobody stays, and no share goes on letting anybody in. */
const cutAll = (context: SessionContext): readonly Effect[] => [
  ...(Object.keys(context.clients) as ClientId[]).flatMap((id): Effect[] => [
    { type: 'cut', client_id: id },
    toClient(context, id, { type: 'client.leave', reason: 'session_ended' }),
  ]),
  ...(Object.keys(context.shares) as ShareId[]).map((id) =>
    toShare(context, id, { type: 'share.end', reason: 'session_ended' }),
  ),
  ...endWebhooks(context),
];

/** The actor itself was given up: nothing of the session goes on without it. */
export const sessionFailure = (context: SessionContext, at: number): readonly Effect[] => [
  ...drain(context, at, 'closed').effects,
  ...cutAll(context),
];

/** The event goes out first, so that clients hear why they are cut. */
export const finish = (context: SessionContext, { at }: Incoming): Now => ({
  change: {
    closed_at: at,
    deadline: null,
    clients: {},
    shares: {},
    ledger: EMPTY_LEDGER,
    executions: [],
    coordinations: [],
    counts: { ...context.counts, queued: 0 },
  },
  effects: [fact(context, context.ending ?? 'closed', { executions: context.counts.accepted }), ...cutAll(context)],
});

/** A capability may be over at the same time: then both is said. */
export const suspend = (context: SessionContext, message: Incoming): Now => {
  const { change, effects } = isLapsing(context, message.at) ? lapse(context, message) : { change: {}, effects: [] };
  return {
    change: unattended({ ...context, ...change }, change, expiry(context)),
    effects: [...effects, fact(context, 'suspended')],
  };
};

export const isLapsing = ({ lapses_at }: SessionContext, at: number): boolean => lapses_at !== null && at >= lapses_at;

export const resume = (context: SessionContext, { at }: Incoming): Now => ({
  change: touched(context, at),
  effects: [fact(context, 'resumed')],
});

/** A request that this state has no other answer for. */
export const refuse = (context: SessionContext): Now => ({
  effects: [
    context.opened_at === null
      ? refusal('not_found', 'there is no such session')
      : refusal('conflict', context.ending === null ? 'the session is open' : 'the session is closing'),
  ],
});

/** A client that has left has no credentials any more; anybody else never was in sight of this session. */
export const refuseOutsider = (_: SessionContext, { caller }: { readonly caller: Caller }): Now => ({
  effects: [
    caller.client_id === null
      ? refusal('not_found', 'there is no such session')
      : refusal('unauthenticated', 'the client is not in the session'),
  ],
});
