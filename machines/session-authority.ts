import { attenuate, withShareDefaults } from './attenuate.ts';
import type { Attenuated, Attenuation } from './attenuate.ts';
import { obstacleTo, sameResource } from './capability.ts';
import type { Capability, Need } from './capability.ts';
import { withoutMeters } from './charge.ts';
import { allowTime } from './constraint.ts';
import { event, refusal, reply } from './convention.ts';
import { rootCapability } from './decision.ts';
import { revoke } from './descent.ts';
import type { Effect } from './effect.ts';
import type { ClientId, ShareId } from './id.ts';
import type { Caller } from './message.ts';
import { SESSION_LIMITS, granted, lapsed, standing, touched, withoutClient } from './session-context.ts';
import type { SessionClient, SessionContext } from './session-context.ts';
import { answered, forbid, toClient, toExecution, toShare } from './session-effects.ts';
import type { Incoming, Now, Of } from './session-effects.ts';

/** Why capabilities end. Only a revocation takes back what was accepted under them. */
type End = 'revoked' | 'expired' | 'left';

const READ: Need = { operation: 'read', resource: 'operations', name: null };

/** Whether one of them lets its holder read, now or later. */
const reads = (held: readonly Capability[]): boolean =>
  held.some((capability) => ['time', null].includes(obstacleTo(capability, READ)));

const ids = <Id extends string>(record: Readonly<Record<Id, unknown>>): Id[] => Object.keys(record) as Id[];

const endedBy = (context: SessionContext, roots: readonly string[]): ReadonlySet<string> => {
  const all = granted(context);
  return new Set([...roots, ...roots.flatMap((id) => revoke(all, id).revoked.map((capability) => capability.id))]);
};

/** What of these is held by nobody but who is gone: it ends with them. What came by a share is the share's. */
const heldAlone = (context: SessionContext, gone: readonly SessionClient[]): readonly string[] => {
  const others = new Set(granted(context).map(({ id }) => id));
  const own = gone.flatMap(({ capabilities }) => capabilities.map(({ id }) => id));
  return [...new Set(own)].filter((id) => !others.has(id));
};

/** What the session knows without them, who has to hear, and what ends with those who have to go. */
interface Round {
  readonly change: Pick<SessionContext, 'clients' | 'shares' | 'ledger'>;
  readonly facts: readonly Effect[];
  readonly records: readonly Effect[];
  readonly sends: readonly Effect[];
  readonly left: readonly string[];
}

const endRound = (context: SessionContext, roots: readonly string[], reason: End): Round => {
  const ended = endedBy(context, roots);
  const holders = (of: ReadonlySet<string>): ClientId[] =>
    ids(context.clients).filter((id) => context.clients[id]?.capabilities.some((each) => of.has(each.id)));
  const over = ids(context.shares).filter((id) => ended.has(context.shares[id]?.capability.id ?? ''));

  let { clients } = context;
  const out: SessionClient[] = [];
  const sends: Effect[] = [];
  for (const id of holders(ended)) {
    const client = clients[id];
    if (client === undefined) continue;
    const capabilities = client.capabilities.filter((capability) => !ended.has(capability.id));
    const isOut = capabilities.length === 0 || (reads(client.capabilities) && !reads(capabilities));
    if (isOut) out.push(client);
    clients = isOut ? withoutClient(clients, id) : { ...clients, [id]: { ...client, capabilities } };
    sends.push(
      toClient(
        context,
        id,
        isOut ? { type: 'client.leave', reason: 'revoked' } : { type: 'client.narrow', capabilities },
      ),
    );
  }
  for (const id of over)
    sends.push(toShare(context, id, { type: 'share.end', reason: reason === 'expired' ? reason : 'revoked' }));
  if (reason === 'revoked')
    for (const { id } of context.executions)
      sends.push(toExecution(context, id, { type: 'execution.revoke', capability_ids: [...ended] }));

  const facts = roots.flatMap((id) => {
    const revoked = endedBy(context, [id]);
    if (reason === 'left' && revoked.size === 1) return [];
    const hit = holders(revoked);
    const cut = hit.filter((client) => clients[client] === undefined);
    const data = { capability_id: id, revoked: [...revoked], clients: hit, cut, reason };
    return [event('capability_revoked', id, data)];
  });
  const whole: Effect = { type: 'audit', audit: 'capability_revoked', data: { capability_ids: [...ended] } };
  const each = over.map((share_id): Effect => ({ type: 'audit', audit: 'share_revoked', data: { share_id, reason } }));
  // Time is nobody's decision: what is over leaves no record.
  const records = reason === 'expired' ? [] : [...(reason === 'revoked' ? [whole] : []), ...each];
  const shares = Object.fromEntries(Object.entries(context.shares).filter(([id]) => !over.includes(id as ShareId)));
  const change = { clients, shares, ledger: withoutMeters(context.ledger, [...ended]) };
  const left = heldAlone({ ...context, ...change }, out).filter((id) => !ended.has(id));
  return { change, facts, records, sends, left };
};

/**
 * Capabilities end, with all that descend from them. Who loses the last to read has to go, and what they alone held ends
 * with them in the same way as if they had left. The events go first, so that whoever is cut hears why.
 */
const end = (
  context: SessionContext,
  roots: readonly string[],
  reason: End,
): { readonly change: Round['change']; readonly effects: readonly Effect[] } => {
  const rounds: Round[] = [];
  let { clients, shares, ledger } = context;
  for (let next = roots; next.length > 0; ) {
    const round = endRound({ ...context, clients, shares, ledger }, next, rounds.length === 0 ? reason : 'left');
    rounds.push(round);
    ({ clients, shares, ledger } = round.change);
    next = round.left;
  }
  return {
    change: { clients, shares, ledger },
    effects: [
      ...rounds.flatMap(({ facts }) => facts),
      ...rounds.flatMap(({ records }) => records),
      ...rounds.flatMap(({ sends }) => sends),
    ],
  };
};

/** A client is no longer there, and what it alone held ends with it. */
export const departed = (context: SessionContext, id: ClientId): Required<Now> => {
  const { [id]: client, ...clients } = context.clients;
  const without = { ...context, clients };
  return end(without, client === undefined ? [] : heldAlone(without, [client]), 'left');
};

const isOver = ({ constraints: { expires_at } }: Capability, at: number): boolean =>
  expires_at !== undefined && !allowTime({ expires_at }, at);

/** The time of some capabilities is over. */
export const lapse = (context: SessionContext, { at }: Incoming): Required<Now> => {
  const over = granted(context).filter((capability) => isOver(capability, at));
  const named = new Set(over.map(({ id }) => id));
  const roots = over.filter(({ parent_id }) => parent_id === null || !named.has(parent_id));
  const { change, effects } = end(
    context,
    roots.map(({ id }) => id),
    'expired',
  );
  return { change: lapsed(context, at, change), effects };
};

/** What a share of this caller may descend from, in the order in which it is tried. */
const sharable = (
  context: SessionContext,
  caller: Caller,
  { resource_type }: Attenuation,
  at: number,
): readonly Capability[] => {
  if (standing(context, caller) === 'owner')
    return [rootCapability(context, resource_type === 'mcp_tool' ? 'mcp_tool' : 'operations')];
  const held = caller.client_id === null ? [] : (context.clients[caller.client_id]?.capabilities ?? []);
  return held
    .filter(({ constraints }) => constraints.may_share === true && allowTime(constraints, at))
    .filter((capability) => resource_type === undefined || sameResource(resource_type, capability.resource_type))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
};

export const share = (context: SessionContext, { caller, share: drawn, at }: Of<'session.share'>): Now => {
  const refuse = (effect: Effect): Now => answered(context, at, effect);
  const { session_id, shares } = context;
  const { share_id, capability_id, asked, label } = drawn;
  const parents = sharable(context, caller, asked, at);
  if (parents.length === 0) return refuse(forbid('may_share', 'no capability held may be shared'));
  if (shares[share_id] !== undefined) return refuse(refusal('conflict', 'the share is there already'));
  if (ids(shares).length >= SESSION_LIMITS.shares)
    return refuse(refusal('conflict', `a session has at most ${SESSION_LIMITS.shares} live shares`));

  const holder = { id: capability_id, principal: `share:${share_id}` };
  const derived = parents.map((parent) => attenuate(parent, withShareDefaults(parent, asked, at), holder, at));
  const first = derived.find(({ ok }) => ok) ?? (derived[0] as Attenuated);
  if (!first.ok) return refuse({ type: 'reply', answer: first });
  const { capability } = first;
  const { constraints, parent_id } = capability;
  return {
    change: touched(context, at, { shares: { ...shares, [share_id]: { capability, issuer: caller } } }),
    effects: [
      { type: 'audit', audit: 'share_created', data: { share_id, label, capability_id, parent_id } },
      toShare(context, share_id, { type: 'share.open', session_id, share: drawn, capability, issuer: caller }, true),
      reply({ share_id, capability, expires_at: constraints.expires_at ?? null }),
    ],
  };
};

/** For the owner, and for who made it. */
export const unshare = (context: SessionContext, { caller, share_id, at }: Of<'session.unshare'>): Now => {
  const refuse = (effect: Effect): Now => answered(context, at, effect);
  const known = context.shares[share_id];
  // Who had made it is not known any more: the gateway has seen to it that nobody else asks.
  if (known === undefined) return refuse(refusal('conflict', 'the share has ended'));
  const isIssuer = caller.client_id !== null && known.issuer.client_id === caller.client_id;
  if (standing(context, caller) !== 'owner' && !isIssuer)
    return refuse(forbid('owner', 'only the owner, or who made it, revokes a share'));
  const { change, effects } = end(context, [known.capability.id], 'revoked');
  return { change: touched(context, at, change), effects: [...effects, reply({ share_id, status: 'revoked' })] };
};

export const revokeCapability = (context: SessionContext, message: Of<'session.revoke'>): Now => {
  const { caller, capability_id, at } = message;
  const refuse = (effect: Effect): Now => answered(context, at, effect);
  if (standing(context, caller) !== 'owner') return refuse(forbid('owner', 'only the owner revokes capabilities'));
  if (capability_id === context.root_capability_id)
    return refuse(refusal('conflict', 'the root capability ends with its session'));
  const ended = endedBy(context, [capability_id]);
  if (!granted(context).some(({ id }) => id === capability_id))
    return refuse(refusal('conflict', 'the capability has ended'));
  const { change, effects } = end(context, [capability_id], 'revoked');
  return { change: touched(context, at, change), effects: [...effects, reply({ capability_id, revoked: [...ended] })] };
};

/** What the gateway refused to somebody of this session: a fact for all who read it, and a record. */
export const violated = (context: SessionContext, message: Of<'session.violated'>): Now => {
  const { caller, operation, reason, count } = message;
  if (standing(context, caller) === null) return {};
  const data = { ...caller, operation, reason, count };
  return {
    effects: [
      { type: 'audit', audit: 'access_refused', data: { operation, reason, count } },
      event('security_violation', caller.client_id ?? context.session_id, data, 'warning'),
    ],
  };
};
