import { obstacleTo, type Capability, type Need } from '../../machines/capability.ts';
import { allowTime } from '../../machines/constraint.ts';
import { decide, rootCapability } from '../../machines/decision.ts';
import { problem, type Problem } from '../../machines/error.ts';
import { isId } from '../../machines/id.ts';
import type { Caller } from '../../machines/message.ts';
import type { ClientFacts, Facts, SessionFacts } from './facts.ts';
import type { Identity } from './principals.ts';

/** Who asks, in a session within their sight. */
export interface Authority {
  readonly session: SessionFacts;
  readonly caller: Caller;
  readonly isOwner: boolean;
}

/** The same whether something is absent or out of sight (contract, promise 12). */
export const notFound = (what: string): Problem => problem('not_found', `there is no such ${what}`);

/**
 * Step 2 of the decision (contract, section 6): a client sees its own session, a principal with a key the sessions that
 * it owns. Null for all others, unknown ones alike.
 */
export const seeSession = async (facts: Facts, identity: Identity, id: unknown): Promise<Authority | null> => {
  if (!isId('session', id)) return null;
  if (identity.kind === 'client' && identity.client.session_id !== id) return null;
  const session = await facts.session(id);
  if (session === null) return null;
  const isOwner = session.owner === identity.principal;
  if (identity.kind === 'client')
    return { session, isOwner, caller: { principal: identity.principal, client_id: identity.client.client_id } };
  return isOwner ? { session, isOwner, caller: { principal: identity.principal, client_id: null } } : null;
};

/** The capabilities under which the caller acts: its own, or the session's root for the owner's key. */
const heldBy = (identity: Identity, session: SessionFacts, resource: Need['resource']): readonly Capability[] =>
  identity.kind === 'client' ? identity.client.capabilities : [rootCapability(session, resource)];

export const READ: Need = { operation: 'read', resource: 'operations', name: null };
export const WRITE: Need = { operation: 'write', resource: 'operations', name: null };

/** Step 4 of the decision at `at` (ms since the epoch): the capability that covers the need, or the 403 that says why none. */
export const coveredBy = (
  identity: Identity,
  { session }: Pick<Authority, 'session'>,
  need: Need,
  at: number,
): { readonly ok: true; readonly capability: Capability } | { readonly ok: false; readonly problem: Problem } => {
  const decision = decide(heldBy(identity, session, need.resource), need, at);
  if (decision.allowed) return { ok: true, capability: decision.capability };
  const what = need.name === null ? need.operation : `${need.operation} of ${need.name}`;
  return {
    ok: false,
    problem: problem('security_violation', `no capability held covers ${what}`, { reason: decision.reason }),
  };
};

export const notOwner = (): Problem =>
  problem('security_violation', 'only the owner of the session may do this', { reason: 'owner' });

/** Whether the caller holds a capability from which it may make shares at `at`. */
export const mayShare = (identity: Identity, at: number): boolean =>
  identity.kind === 'client' &&
  identity.client.capabilities.some(({ constraints }) => constraints.may_share === true && allowTime(constraints, at));

/** Whether a client may read its session at `at`: what each single delivery is decided by, hence without a list. */
export const mayRead = ({ capabilities }: Pick<ClientFacts, 'capabilities'>, at: number): boolean =>
  capabilities.some((capability) => obstacleTo(capability, READ, at) === null);
