import { setup } from 'xstate';
import type { Capability } from './capability.ts';
import { UNBOUND, act, event } from './convention.ts';
import type { Convention, Step } from './convention.ts';
import type { Effect } from './effect.ts';
import type { SessionId, ShareId } from './id.ts';
import type { Caller, DeadlineMessage, ShareMessage, Taken } from './message.ts';

/** What is kept of a share; blank only in the state `new`. The session decides with what it knows of it itself. */
export interface ShareContext extends Convention {
  readonly session_id: SessionId;
  readonly share_id: ShareId;
  /** SHA-256 of its token; never in an event or a reply. Worth nothing once the share has ended. */
  readonly token_hash: string;
  /** What its maker calls it. */
  readonly title: string | null;
  readonly capability: Capability;
  readonly issuer: Caller;
  /** These in ms since the epoch. */
  readonly created_at: number | null;
  readonly ended_at: number | null;
}

type Incoming = (ShareMessage | DeadlineMessage) & Taken;
type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
type Now = Step<ShareContext>;

/** The session that opens it answers the request. */
const open = (_: ShareContext, { session_id, share, capability, issuer, at }: Of<'share.open'>): Now => {
  const { share_id, token_hash, label } = share;
  return {
    change: { session_id, share_id, token_hash, title: label, capability, issuer, created_at: at },
    effects: [event('share_created', share_id, { share_id, label, capability, created_by: issuer })],
  };
};

const end = ({ share_id, capability }: ShareContext, { reason, at }: Of<'share.end'>): Now => ({
  change: { ended_at: at },
  effects:
    // `session_closed` or `session_expired` has told everybody.
    reason === 'session_ended'
      ? []
      : [event('share_revoked', share_id, { share_id, capability_id: capability.id, reason })],
});

const BLANK: ShareContext = {
  ...UNBOUND,
  session_id: null as never,
  share_id: null as never,
  token_hash: null as never,
  title: null,
  capability: null as never,
  issuer: null as never,
  created_at: null,
  ended_at: null,
};

const { createMachine } = setup({ types: {} as { context: ShareContext; events: Incoming; emitted: Effect } });

const ends = act<ShareContext, Of<'share.end'>, Incoming>(end);

/** A token that lets others into a session (contract, section 6): `live → revoked | expired`. */
export const share = createMachine({
  id: 'share',
  context: BLANK,
  initial: 'new',
  states: {
    new: {
      on: { 'share.open': { target: 'live', actions: act(open) } },
    },
    live: {
      on: {
        'share.end': [
          { guard: ({ event: { reason } }) => reason === 'expired', target: 'expired', actions: ends },
          { target: 'revoked', actions: ends },
        ],
      },
    },
    revoked: { type: 'final' },
    expired: { type: 'final' },
  },
});
