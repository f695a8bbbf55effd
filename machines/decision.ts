import { covers } from './capability.ts';
import type { Capability, Need } from './capability.ts';
import { OPERATIONS } from './capability.ts';
import { timestamp } from './event.ts';
import type { CapabilityId, SessionId } from './id.ts';

/** How far the best capability came before it failed, in the order of the contract's section 6, step 4. */
export type RefusalReason = 'no_capability' | 'resource_type' | 'operation' | 'scope';

export type Decision =
  | { readonly allowed: true; readonly capability: Capability }
  | { readonly allowed: false; readonly reason: RefusalReason };

const suitsResource = (capability: Capability, need: Need): boolean =>
  (capability.resource_type === 'mcp_tool') === (need.resource === 'mcp_tool');

const reasonAgainst = (held: readonly Capability[], need: Need): RefusalReason => {
  if (held.length === 0) return 'no_capability';
  const suited = held.filter((capability) => suitsResource(capability, need));
  if (suited.length === 0) return 'resource_type';
  return suited.some(({ operations }) => operations.includes(need.operation)) ? 'scope' : 'operation';
};

/** Step 4 of the decision (contract, section 6): the first capability in order of id that covers the need. */
export const decide = (held: readonly Capability[], need: Need): Decision => {
  let first: Capability | null = null;
  for (const capability of held)
    if (covers(capability, need) && (first === null || capability.id < first.id)) first = capability;
  return first === null ? { allowed: false, reason: reasonAgainst(held, need) } : { allowed: true, capability: first };
};

/** What of a session its root capability is made from. */
export interface Rooted {
  readonly session_id: SessionId;
  readonly owner: string;
  readonly root_capability_id: CapabilityId;
  readonly opened_at: number | null;
}

/**
 * The capability from which all others of a session descend, held by its owner: everything. A capability names one
 * resource type, the root has none of its own, so it is shown as the one that is asked for.
 */
export const rootCapability = (session: Rooted, resource: Need['resource'] = 'operations'): Capability => ({
  id: session.root_capability_id,
  resource_type: resource === 'mcp_tool' ? 'mcp_tool' : 'api_operations',
  operations: [...OPERATIONS],
  scope: ['*'],
  constraints: {},
  principal: session.owner,
  session_id: session.session_id,
  parent_id: null,
  depth: 0,
  issued_at: timestamp(session.opened_at ?? 0),
});
