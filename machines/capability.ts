import { z } from 'zod';

/** What a principal may do (contract, section 6): resource type, operations and scope; further axes narrow it. */
export const RESOURCE_TYPES = ['cli_operations', 'web_operations', 'api_operations', 'mcp_tool'] as const;
export const OPERATIONS = ['read', 'write', 'execute', 'list'] as const;
export const RISKS = ['minimal', 'low', 'medium', 'high'] as const;
export const CLIENT_TYPES = ['cli', 'web', 'api'] as const;

export type Operation = (typeof OPERATIONS)[number];
export type Risk = (typeof RISKS)[number];
export type ClientType = (typeof CLIENT_TYPES)[number];

export const capabilitySchema = z
  .object({
    id: z.string(),
    resource_type: z.enum(RESOURCE_TYPES),
    operations: z.array(z.enum(OPERATIONS)),
    scope: z.array(z.string()),
    constraints: z.record(z.string(), z.unknown()),
    principal: z.string(),
    session_id: z.string(),
    parent_id: z.string().nullable(),
    depth: z.int().nonnegative(),
    issued_at: z.iso.datetime({ precision: 3 }),
  })
  .meta({ id: 'Capability' });
export type Capability = z.infer<typeof capabilitySchema>;

/** A grant before it has an id, a holder and a time. */
export type Grant = Pick<Capability, 'resource_type' | 'operations' | 'scope' | 'constraints'>;

/** What each type of client is granted when it registers. */
export const DEFAULT_GRANTS: Readonly<Record<ClientType, readonly Grant[]>> = {
  cli: [
    { resource_type: 'cli_operations', operations: ['read', 'write', 'execute'], scope: ['*'], constraints: {} },
    { resource_type: 'mcp_tool', operations: ['execute', 'list'], scope: ['*'], constraints: {} },
  ],
  web: [{ resource_type: 'web_operations', operations: ['read', 'write'], scope: ['*'], constraints: {} }],
  api: [{ resource_type: 'api_operations', operations: ['read', 'write', 'execute'], scope: ['*'], constraints: {} }],
};

/** What something needs of a capability. `name` is matched with the scope; null where scope says nothing (sight). */
export interface Need {
  readonly operation: Operation;
  readonly resource: 'operations' | 'mcp_tool';
  readonly name: string | null;
}

/** Whether a scope pattern covers a name: `*` covers all, a trailing `*` a prefix, anything else itself. */
const scopeCovers = (pattern: string, name: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;

/** Whether one capability covers a need. Deny by default. */
export const covers = (capability: Capability, need: Need): boolean =>
  (capability.resource_type === 'mcp_tool') === (need.resource === 'mcp_tool') &&
  capability.operations.includes(need.operation) &&
  (need.name === null || capability.scope.some((pattern) => scopeCovers(pattern, need.name as string)));

/** The first capability in order of id that covers the need, or null. */
export const firstCovering = (held: readonly Capability[], need: Need): Capability | null =>
  held.toSorted((a, b) => (a.id < b.id ? -1 : 1)).find((capability) => covers(capability, need)) ?? null;
