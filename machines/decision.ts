import { OBSTACLES, OPERATIONS, covering, obstacleTo } from './capability.ts';
import type { Capability, Need, Obstacle } from './capability.ts';
import { timestamp } from './event.ts';
import type { CapabilityId, SessionId } from './id.ts';

/** How far the best capability came before it failed, in the order of the contract's section 6, step 4. */
export type RefusalReason = 'no_capability' | Obstacle;

/** `capability` is the first of `covering`, which are in order of id: the limits of each are asked in turn (step 8). */
export type Decision =
  | { readonly allowed: true; readonly capability: Capability; readonly covering: readonly Capability[] }
  | { readonly allowed: false; readonly reason: RefusalReason };

const farthest = (held: readonly Capability[], need: Need, at: number | undefined): RefusalReason => {
  const met = new Set(held.map((capability) => obstacleTo(capability, need, at)));
  return OBSTACLES.findLast((obstacle) => met.has(obstacle)) ?? 'no_capability';
};

/**
 * Step 4 of the decision (contract, section 6): the capabilities that cover the need at `at` (ms since the epoch). Without
 * a time those bounded in time cover nothing.
 */
export const decide = (held: readonly Capability[], need: Need, at?: number): Decision => {
  const all = covering(held, need, at);
  const [capability] = all;
  return capability === undefined
    ? { allowed: false, reason: farthest(held, need, at) }
    : { allowed: true, capability, covering: all };
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
  constraints: { may_share: true },
  principal: session.owner,
  session_id: session.session_id,
  parent_id: null,
  depth: 0,
  issued_at: timestamp(session.opened_at ?? 0),
});
