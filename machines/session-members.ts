import { allowTime } from './constraint.ts';
import { refusal, reply } from './convention.ts';
import type { Effect } from './effect.ts';
import type { NewClient } from './message.ts';
import { departed } from './session-authority.ts';
import { SESSION_LIMITS, standing, touched, unattended } from './session-context.ts';
import type { SessionClient, SessionContext, SessionShare } from './session-context.ts';
import { answered, forbid, toClient } from './session-effects.ts';
import type { Now, Of } from './session-effects.ts';
import { addWebhook } from './session-webhooks.ts';
import type { Added } from './session-webhooks.ts';

export const joined = ({ type, name, principal, capabilities }: NewClient): SessionClient => ({
  type,
  name,
  principal,
  capabilities,
  attached: false,
});

export const welcome = ({ session_id }: SessionContext, { client_id, capabilities }: NewClient): Effect =>
  reply({ session_id, client_id, capabilities });

/** What comes with a client. */
interface Along {
  /** Go before it. */
  readonly records?: readonly Effect[];
  readonly added?: Added;
}

/** Lets a client in where there is room. */
const admit = (context: SessionContext, client: NewClient, at: number, { records = [], added }: Along = {}): Now => {
  const { session_id, clients, webhooks } = context;
  const { client_id } = client;
  if (clients[client_id] !== undefined)
    return answered(context, at, refusal('conflict', 'the client is there already'));
  if (Object.keys(clients).length >= SESSION_LIMITS.clients)
    return answered(context, at, refusal('conflict', `a session has at most ${SESSION_LIMITS.clients} clients`));
  return {
    change: touched(context, at, {
      clients: { ...clients, [client_id]: joined(client) },
      webhooks: added?.webhooks ?? webhooks,
    }),
    effects: [
      ...records,
      ...(added?.effects ?? []),
      toClient(context, client_id, { type: 'client.open', session_id, client }, true),
      welcome(context, client),
    ],
  };
};

export const register = (context: SessionContext, { caller, client, webhook, at }: Of<'session.register'>): Now => {
  if (standing(context, caller) !== 'owner')
    return answered(context, at, forbid('owner', 'only the owner registers clients'));
  const added = addWebhook(context, webhook, caller);
  return 'type' in added ? answered(context, at, added) : admit(context, client, at, { added });
};

/** The share that lets somebody in at `at`; undefined where it has ended since the gateway saw it, and its token with it. */
export const openShare = (
  { shares }: SessionContext,
  { share_id, at }: Of<'session.join'>,
): SessionShare | undefined => {
  const share = shares[share_id];
  return share !== undefined && allowTime(share.capability.constraints, at) ? share : undefined;
};

/** Whoever brings the token of a share is let in under its capability: all who come by it spend one budget. */
export const join = (context: SessionContext, message: Of<'session.join'>): Now => {
  const { share_id, client: drawn, at } = message;
  const share = openShare(context, message);
  if (share === undefined) return { effects: [refusal('unauthenticated', 'the share lets nobody in')] };
  const client = { ...drawn, capabilities: [share.capability], via_share: share_id };
  const { client_id, type, principal } = client;
  return admit(context, client, at, {
    records: [{ type: 'audit', audit: 'client_joined', data: { share_id, client_id, type, principal } }],
  });
};

/** Forgets the client at once, and what it alone held; its own actor answers. */
export const leave = (context: SessionContext, { caller, client_id, at }: Of<'session.leave'>): Now => {
  if (context.clients[client_id] === undefined)
    return answered(context, at, refusal('not_found', 'there is no such client'));
  if (standing(context, caller) !== 'owner' && caller.client_id !== client_id)
    return answered(context, at, forbid('owner', 'only the owner makes others leave'));
  const { change, effects } = departed(context, client_id);
  return {
    change: touched(context, at, change),
    effects: [toClient(context, client_id, { type: 'client.leave' }), ...effects],
  };
};

export const presence = (context: SessionContext, { client_id, attached, at }: Of<'client.presence'>): Now => {
  const client = context.clients[client_id];
  if (client === undefined) return {};
  return { change: touched(context, at, { clients: { ...context.clients, [client_id]: { ...client, attached } } }) };
};

/** Its actor was given up while nobody was there. */
export const forget = (context: SessionContext, { client_id }: Of<'client.gone'>): Now => {
  if (context.clients[client_id] === undefined) return {};
  const { change, effects } = departed(context, client_id);
  return { change: unattended(context, change), effects };
};

/** The grace time of a session that nobody is attached to any more starts now. */
export const gone = (context: SessionContext, { client_id, at }: Of<'client.gone'>): Now => {
  if (context.clients[client_id] === undefined) return {};
  const { change, effects } = departed(context, client_id);
  return { change: touched(context, at, change), effects };
};
