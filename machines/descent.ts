import type { Capability } from './capability.ts';

/** How many times a capability may descend from the root of its session (contract, section 6). */
export const MAX_DEPTH = 3;

/**
 * A capability and all that it descends from, up to the root: what its use is charged to. Null where an ancestor is not
 * found any more, or there are more than there can be: authority without its origin is none.
 */
export const lineage = (
  capability: Capability,
  find: (id: string) => Capability | undefined,
): readonly Capability[] | null => {
  const line = [capability];
  for (let { parent_id } = capability; parent_id !== null; ) {
    const parent = find(parent_id);
    if (parent === undefined || line.length > MAX_DEPTH) return null;
    line.push(parent);
    ({ parent_id } = parent);
  }
  return line;
};

/**
 * Revokes a capability with all that descend from it, however they are ordered. `id` need not be among them: revoking
 * the root of a session revokes every one.
 */
export const revoke = (
  capabilities: readonly Capability[],
  id: string,
): { readonly kept: readonly Capability[]; readonly revoked: readonly Capability[] } => {
  const ended = new Set([id]);
  for (let before = 0; before < ended.size; ) {
    before = ended.size;
    for (const { id: child, parent_id } of capabilities)
      if (parent_id !== null && ended.has(parent_id)) ended.add(child);
  }
  return {
    kept: capabilities.filter((capability) => !ended.has(capability.id)),
    revoked: capabilities.filter((capability) => ended.has(capability.id)),
  };
};
