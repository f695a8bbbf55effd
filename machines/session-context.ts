import type { Capability, ClientType, Need } from './capability.ts';
import { EMPTY_LEDGER } from './charge.ts';
import type { Ledger } from './charge.ts';
import { UNBOUND } from './convention.ts';
import type { Convention } from './convention.ts';
import { rootCapability } from './decision.ts';
import type { EventType } from './event.ts';
import type { CapabilityId, ClientId, CoordinationId, ExecutionId, SessionId, ShareId, WebhookId } from './id.ts';
import type { Caller } from './message.ts';

/** What a session knows of each client: enough to decide for it. */
export interface SessionClient {
  readonly type: ClientType;
  readonly name: string | null;
  readonly principal: string;
  readonly attached: boolean;
  readonly capabilities: readonly Capability[];
}

/** What a session knows of each live share: enough to decide for it. */
export interface SessionShare {
  readonly capability: Capability;
  /** Who made it. */
  readonly issuer: Caller;
}

/** What a session knows of each live endpoint: enough to tell which events are for it. */
export interface LiveWebhook {
  /** Null for all. */
  readonly types: readonly EventType[] | null;
  /** The execution that it is for; null for all of the session. */
  readonly execution_id: ExecutionId | null;
}

/** An execution that has not ended. */
export interface LiveExecution {
  readonly id: ExecutionId;
  /** The client that started it; null for the owner with a key of its own. */
  readonly by: ClientId | null;
  /** Waits for a place on the agent pool. */
  readonly queued: boolean;
}

/** A question without its outcome; `execution_id` where an execution waits for it. */
export interface OpenQuestion {
  readonly id: CoordinationId;
  readonly execution_id: ExecutionId | null;
}

/** Written with every turn, so kept small. Blank only in the state `new`. */
export interface SessionContext extends Convention {
  readonly session_id: SessionId;
  readonly owner: string;
  readonly root_capability_id: CapabilityId;
  readonly ttl_ms: number;
  /** These three in ms since the epoch. */
  readonly opened_at: number | null;
  readonly last_active_at: number | null;
  readonly closed_at: number | null;
  /** How it will end, once it drains. */
  readonly ending: 'closed' | 'expired' | null;
  /** By id; who has left is gone from here. */
  readonly clients: Readonly<Record<ClientId, SessionClient>>;
  /** The live ones, by id. */
  readonly shares: Readonly<Record<ShareId, SessionShare>>;
  /** The live ones, by id. */
  readonly webhooks: Readonly<Record<WebhookId, LiveWebhook>>;
  /** What the capabilities of the session have used. */
  readonly ledger: Ledger;
  /** When it is suspended or expires unless something happens, and when the next capability is over; ms since the epoch. */
  readonly idle_at: number | null;
  readonly lapses_at: number | null;
  /** In order of acceptance. A list, since it changes with every execution and lists are copied far faster than records. */
  readonly executions: readonly LiveExecution[];
  /** The open questions, in order of asking. */
  readonly coordinations: readonly OpenQuestion[];
  /** How many were ever accepted, and how many of the live ones are queued. */
  readonly counts: { readonly accepted: number; readonly queued: number };
}

/** Bounds (contract, section 2) and times in ms (section 5). */
export const SESSION_LIMITS = {
  clients: 100,
  shares: 100,
  coordinations: 100,
  webhooks: 20,
  queued: 1_000,
  /** With nobody attached and nothing asked for so long it is suspended. */
  grace_ms: 60_000,
  /** How long the end of a session waits for its executions to end. */
  drain_ms: 30_000,
} as const;

export const WRITE: Need = { operation: 'write', resource: 'operations', name: null };

export const BLANK_SESSION: SessionContext = {
  ...UNBOUND,
  session_id: null as never,
  owner: null as never,
  root_capability_id: null as never,
  ttl_ms: 0,
  opened_at: null,
  last_active_at: null,
  closed_at: null,
  ending: null,
  clients: {},
  shares: {},
  webhooks: {},
  ledger: EMPTY_LEDGER,
  idle_at: null,
  lapses_at: null,
  executions: [],
  coordinations: [],
  counts: { accepted: 0, queued: 0 },
};

const isAttended = (clients: SessionContext['clients']): boolean =>
  Object.values(clients).some(({ attached }) => attached);

/** Every capability of the session but its root, each once. */
export const granted = ({ clients, shares }: Pick<SessionContext, 'clients' | 'shares'>): readonly Capability[] => {
  const all = [
    ...Object.values(shares).map(({ capability }) => capability),
    ...Object.values(clients).flatMap(({ capabilities }) => capabilities),
  ];
  return [...new Map(all.map((capability) => [capability.id, capability])).values()];
};

/** The capability of this id, the root included; undefined where it has ended. On the way of every charge, hence loops. */
export const findCapability = (context: SessionContext, id: string): Capability | undefined => {
  const { root_capability_id, shares, clients } = context;
  if (id === root_capability_id) return rootCapability(context);
  for (const share in shares) {
    const { capability } = shares[share as ShareId] as SessionShare;
    if (capability.id === id) return capability;
  }
  for (const client in clients)
    for (const capability of (clients[client as ClientId] as SessionClient).capabilities)
      if (capability.id === id) return capability;
  return undefined;
};

/** When the next capability is over, after this change; null where none ever is. */
const lapsing = (context: SessionContext, change: Partial<SessionContext>): number | null => {
  if (change.clients === undefined && change.shares === undefined) return context.lapses_at;
  const times = granted({ ...context, ...change }).flatMap(({ constraints: { expires_at } }) =>
    expires_at === undefined ? [] : [Date.parse(expires_at)],
  );
  return times.length === 0 ? null : Math.min(...times);
};

const waking = (
  idle_at: number,
  lapses_at: number | null,
): Pick<SessionContext, 'idle_at' | 'lapses_at' | 'deadline'> => ({
  idle_at,
  lapses_at,
  deadline: Math.min(idle_at, lapses_at ?? Infinity),
});

/** The same where nobody is there: what was to come by itself stays as it was, but for `idle_at` where it is given. */
export const unattended = (
  context: SessionContext,
  change: Partial<SessionContext>,
  idle_at = context.idle_at,
): Partial<SessionContext> =>
  context.ending !== null || idle_at === null ? change : { ...change, ...waking(idle_at, lapsing(context, change)) };

/** The same by the time that has come: where it leaves nobody attached, the grace time begins. */
export const lapsed = (
  context: SessionContext,
  at: number,
  change: Pick<SessionContext, 'clients'> & Partial<SessionContext>,
): Partial<SessionContext> => {
  const { clients, idle_at } = context;
  return idle_at !== null && isAttended(clients) && !isAttended(change.clients)
    ? unattended(context, change, Math.min(idle_at, at + SESSION_LIMITS.grace_ms))
    : unattended(context, change);
};

/** A change by somebody who is there: it moves what may come by itself, unless the session is ending. */
export const touched = (
  context: SessionContext,
  at: number,
  change: Partial<SessionContext> = {},
): Partial<SessionContext> => {
  const { ttl_ms, clients, ending } = { ...context, ...change };
  if (ending !== null) return change;
  const idle_at = at + (isAttended(clients) ? ttl_ms : Math.min(ttl_ms, SESSION_LIMITS.grace_ms));
  return { ...change, last_active_at: at, ...waking(idle_at, lapsing(context, change)) };
};

export const expiry = ({ last_active_at, ttl_ms }: SessionContext): number => (last_active_at ?? 0) + ttl_ms;

export const withoutClient = (clients: SessionContext['clients'], id: ClientId): SessionContext['clients'] => {
  const { [id]: _, ...others } = clients;
  return others;
};

/**
 * As whom the caller acts: a client whose principal is the owner acts as the owner (contract, section 2). Null for
 * somebody who is not, or no longer, in the session.
 */
export const standing = (context: SessionContext, { principal, client_id }: Caller): 'owner' | 'member' | null => {
  const here = client_id === null ? context.owner : context.clients[client_id]?.principal;
  if (here !== principal) return null;
  return principal === context.owner ? 'owner' : 'member';
};
