import { setup } from 'xstate';
import { sessionAddress } from './address.ts';
import type { Capability, ClientType } from './capability.ts';
import { UNBOUND, act, event, refusal, reply, send } from './convention.ts';
import type { Convention, Step } from './convention.ts';
import type { Effect } from './effect.ts';
import type { ClientId, SessionId, ShareId } from './id.ts';
import type { ClientMessage, DeadlineMessage, SessionMessage, Taken } from './message.ts';

/** What is kept of a client; blank only in the state `new`. */
export interface ClientContext extends Convention {
  readonly session_id: SessionId;
  readonly client_id: ClientId;
  readonly type: ClientType;
  readonly name: string | null;
  readonly principal: string;
  /** SHA-256 of its token; never in an event or a reply. Worth nothing once the client has left. */
  readonly token_hash: string;
  readonly capabilities: readonly Capability[];
  /** The share by whose token it has joined. */
  readonly via_share: ShareId | null;
  /** These in ms since the epoch. */
  readonly joined_at: number | null;
  readonly left_at: number | null;
}

type Incoming = (ClientMessage | DeadlineMessage) & Taken;
type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
type Now = Step<ClientContext>;
type Standing = 'attaching' | 'attached' | 'detached' | 'left';

const tellSession = (context: ClientContext, message: SessionMessage): Effect =>
  send(sessionAddress(context.session_id), message);

const fact = (
  { client_id }: ClientContext,
  type: 'joined' | 'detached' | 'left',
  data: Record<string, unknown> = {},
): Effect => event(`client_${type}`, client_id, { client_id, ...data });

const standing = ({ client_id }: ClientContext, status: Standing): Effect => reply({ client_id, status });

/** The session that opens it answers the request: it knows what else belongs into the answer. */
const open = (blank: ClientContext, { session_id, client, at }: Of<'client.open'>): Now => {
  const { client_id, type, name, principal, token_hash, capabilities, via_share = null } = client;
  const opened = { session_id, client_id, type, name, principal, token_hash, capabilities, via_share, joined_at: at };
  const via = via_share === null ? {} : { via_share };
  return { change: opened, effects: [fact({ ...blank, ...opened }, 'joined', { type, name, principal, ...via })] };
};

/** What it waits for while it is attached: somebody outside the ring sees whether its connection is still there. */
const PRESENCE = 'presence';

const attach = (context: ClientContext): Now => ({
  change: { waits: PRESENCE },
  effects: [
    tellSession(context, { type: 'client.presence', client_id: context.client_id, attached: true }),
    standing(context, 'attached'),
  ],
});

const detach = (context: ClientContext): Now => ({
  change: { waits: null },
  effects: [
    fact(context, 'detached'),
    tellSession(context, { type: 'client.presence', client_id: context.client_id, attached: false }),
    standing(context, 'detached'),
  ],
});

/** Its last event goes out before its connections are cut, so that it hears of it itself. */
const leave = (context: ClientContext, { at }: Of<'client.leave'>): Now => ({
  change: { left_at: at, waits: null },
  effects: [
    fact(context, 'left'),
    { type: 'cut', client_id: context.client_id },
    tellSession(context, { type: 'client.gone', client_id: context.client_id }),
    standing(context, 'left'),
  ],
});

/** `session_closed` or `session_expired` has told everybody, and the session itself has cut the connections. */
const leaveWithSession = (_: ClientContext, { at }: Of<'client.leave'>): Now => ({
  change: { left_at: at, waits: null },
});

/** Its right to be there has ended, which nobody has asked it for. */
const leaveRevoked = (context: ClientContext, { at }: Of<'client.leave'>): Now => ({
  change: { left_at: at, waits: null, capabilities: [] },
  effects: [fact(context, 'left', { reason: 'revoked' }), { type: 'cut', client_id: context.client_id }],
});

const narrow = (_: ClientContext, { capabilities }: Of<'client.narrow'>): Now => ({ change: { capabilities } });

/** The actor itself was given up: nobody may stay connected on its behalf. */
export const clientFailure = (context: ClientContext): readonly Effect[] =>
  context.joined_at === null
    ? []
    : [
        { type: 'cut', client_id: context.client_id },
        tellSession(context, { type: 'client.gone', client_id: context.client_id }),
      ];

const isRevoked = ({ event: { reason } }: { readonly event: Of<'client.leave'> }): boolean => reason === 'revoked';

const isSessionEnd = ({ event: { reason } }: { readonly event: Of<'client.leave'> }): boolean =>
  reason === 'session_ended';

const refuse = (): Now => ({ effects: [refusal('not_found', 'there is no such client')] });

const BLANK: ClientContext = {
  ...UNBOUND,
  session_id: null as never,
  client_id: null as never,
  type: null as never,
  name: null,
  principal: null as never,
  token_hash: null as never,
  capabilities: [],
  via_share: null,
  joined_at: null,
  left_at: null,
};

const { createMachine } = setup({ types: {} as { context: ClientContext; events: Incoming; emitted: Effect } });

/** The question is answered, nothing changes. */
const stays = (status: Standing) =>
  act<ClientContext, Of<'client.attach' | 'client.detach'>, Incoming>((context) => ({
    effects: [standing(context, status)],
  }));

const leaves = [
  {
    guard: isSessionEnd,
    target: 'left',
    actions: act<ClientContext, Of<'client.leave'>, Incoming>(leaveWithSession),
  },
  {
    guard: isRevoked,
    target: 'left',
    actions: act<ClientContext, Of<'client.leave'>, Incoming>(leaveRevoked),
  },
  { target: 'left', actions: act<ClientContext, Of<'client.leave'>, Incoming>(leave) },
] as const;

const narrows = { actions: act<ClientContext, Of<'client.narrow'>, Incoming>(narrow) } as const;

/**
 * One front end of a session (contract, section 5): `attaching → attached ⇄ detached → left`. What counts as attached,
 * and when the grace time of a lost connection is over, the gateway decides.
 */
export const client = createMachine({
  id: 'client',
  context: BLANK,
  initial: 'new',
  states: {
    new: {
      on: {
        'client.open': { target: 'attaching', actions: act(open) },
        'client.attach': { actions: act(refuse) },
        'client.detach': { actions: act(refuse) },
        'client.leave': [{ guard: isSessionEnd }, { guard: isRevoked }, { actions: act(refuse) }],
      },
    },
    attaching: {
      on: {
        'client.attach': { target: 'attached', actions: act(attach) },
        'client.detach': { actions: stays('attaching') },
        'client.narrow': narrows,
        'client.leave': leaves,
      },
    },
    attached: {
      on: {
        'client.attach': { actions: stays('attached') },
        'client.detach': { target: 'detached', actions: act(detach) },
        'client.narrow': narrows,
        'client.leave': leaves,
      },
    },
    detached: {
      on: {
        'client.attach': { target: 'attached', actions: act(attach) },
        'client.detach': { actions: stays('detached') },
        'client.narrow': narrows,
        'client.leave': leaves,
      },
    },
    left: { type: 'final' },
  },
});
