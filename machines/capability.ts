import type { Operation, Risk } from './capability-axes.ts';
import type { Capability } from './capability-schema.ts';
import { allowRisk, allowTime } from './constraint.ts';

export { OPERATIONS, RESOURCE_TYPES, RISKS } from './capability-axes.ts';
export type { Operation, Risk } from './capability-axes.ts';
export type { Capability } from './capability-schema.ts';

export const CLIENT_TYPES = ['cli', 'web', 'api'] as const;
export type ClientType = (typeof CLIENT_TYPES)[number];

/** A grant before it has an id, a holder and a time. */
export type Grant = Pick<Capability, 'resource_type' | 'operations' | 'scope' | 'constraints'>;

/** What each type of client is granted when it registers, unless the policy says otherwise (contract, section 6). */
export const DEFAULT_GRANTS: Readonly<Record<ClientType, readonly Grant[]>> = {
  cli: [
    {
      resource_type: 'cli_operations',
      operations: ['read', 'write', 'execute'],
      scope: ['*'],
      constraints: { rate_limit: 1_000 },
    },
    { resource_type: 'mcp_tool', operations: ['execute', 'list'], scope: ['*'], constraints: { rate_limit: 100 } },
  ],
  web: [
    {
      resource_type: 'web_operations',
      operations: ['read', 'write'],
      scope: ['*'],
      constraints: { rate_limit: 500, max_concurrent: 10 },
    },
  ],
  api: [
    {
      resource_type: 'api_operations',
      operations: ['read', 'write', 'execute'],
      scope: ['*'],
      constraints: { rate_limit: 10_000, require_webhook: true },
    },
  ],
};

/** What something needs of a capability. `name` is matched with the scope; null where scope says nothing (sight). */
export interface Need {
  readonly operation: Operation;
  readonly resource: 'operations' | 'mcp_tool';
  readonly name: string | null;
  /** Of the command that is named; where it is not known, a capability with a `max_risk` does not cover it. */
  readonly risk?: Risk;
}

const resourceOf = (type: Capability['resource_type']): Need['resource'] =>
  type === 'mcp_tool' ? 'mcp_tool' : 'operations';

/** Whether capabilities of the two types are decided alike. */
export const sameResource = (a: Capability['resource_type'], b: Capability['resource_type']): boolean =>
  resourceOf(a) === resourceOf(b);

const READING: readonly Operation[] = ['read', 'list'];

const allowsOperation = ({ operations, constraints }: Capability, operation: Operation): boolean =>
  operations.includes(operation) && (constraints.read_only !== true || READING.includes(operation));

/** Whether a scope pattern covers a name: `*` covers all, a trailing `*` a prefix, anything else itself. */
const patternCovers = (pattern: string, name: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;

/** Whether every name that `inner` covers is covered by `outer`. */
const patternContains = (outer: string, inner: string): boolean =>
  inner.endsWith('*') ? outer.endsWith('*') && patternCovers(outer, inner.slice(0, -1)) : patternCovers(outer, inner);

/**
 * The patterns of `inner` that no single pattern of `outer` contains. Several together cannot contain one that they do
 * not contain alone: a name is a pattern's own, or goes on in more ways than there are patterns.
 */
export const patternsBeyond = (outer: readonly string[], inner: readonly string[]): string[] =>
  inner.filter((pattern) => !outer.some((wider) => patternContains(wider, pattern)));

/** Why a capability does not cover a need, in the order in which it is asked (contract, section 6, step 4). */
export const OBSTACLES = ['resource_type', 'operation', 'scope', 'time', 'risk'] as const;
export type Obstacle = (typeof OBSTACLES)[number];

/**
 * The first thing that keeps a capability from covering a need at `at` (ms since the epoch), or null. Deny by default: a
 * time or a risk that is not given is outside every bound.
 */
export const obstacleTo = (capability: Capability, need: Need, at?: number): Obstacle | null => {
  const { resource_type, scope, constraints } = capability;
  const { operation, resource, name, risk } = need;
  if (resourceOf(resource_type) !== resource) return 'resource_type';
  if (!allowsOperation(capability, operation)) return 'operation';
  if (name !== null && !scope.some((pattern) => patternCovers(pattern, name))) return 'scope';
  if (!allowTime(constraints, at)) return 'time';
  return name !== null && !allowRisk(constraints, risk) ? 'risk' : null;
};

/** The capabilities that cover the need, in order of id. */
export const covering = (held: readonly Capability[], need: Need, at?: number): readonly Capability[] =>
  held
    .filter((capability) => obstacleTo(capability, need, at) === null)
    .toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)));

/** The first capability in order of id that covers the need, or null. */
export const firstCovering = (held: readonly Capability[], need: Need, at?: number): Capability | null =>
  covering(held, need, at)[0] ?? null;
