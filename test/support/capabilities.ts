import * as fc from 'fast-check';
import type { Attenuation } from '../../machines/attenuate.ts';
import { OPERATIONS, RESOURCE_TYPES, patternsBeyond, sameResource } from '../../machines/capability.ts';
import type { Capability, Need } from '../../machines/capability.ts';
import { RISKS } from '../../machines/capability-axes.ts';
import type { Constraints } from '../../machines/constraint.ts';
import { MAX_DEPTH } from '../../machines/descent.ts';
import { timestamp } from '../../machines/event.ts';

/** A time to count from: a whole minute. */
export const START = Date.parse('2026-01-01T00:00:00.000Z');

export const capabilityOf = (more: Partial<Capability> = {}): Capability => ({
  id: 'cap_1',
  resource_type: 'cli_operations',
  operations: [...OPERATIONS],
  scope: ['*'],
  constraints: {},
  principal: 'ada',
  session_id: 'ses_1',
  parent_id: null,
  depth: 0,
  issued_at: timestamp(START),
  ...more,
});

/** What goes beyond the parent, said without the order that the code has. */
export const exceeds = (child: Constraints, parent: Constraints): string[] => {
  const rank = (risk: Constraints['max_risk']) => (risk === undefined ? RISKS.length : RISKS.indexOf(risk));
  const wider: Record<keyof Constraints, boolean> = {
    rate_limit: (child.rate_limit ?? Infinity) > (parent.rate_limit ?? Infinity),
    max_concurrent: (child.max_concurrent ?? Infinity) > (parent.max_concurrent ?? Infinity),
    max_operations: (child.max_operations ?? Infinity) > (parent.max_operations ?? Infinity),
    expires_at: parent.expires_at !== undefined && !((child.expires_at ?? '9') <= parent.expires_at),
    not_before: parent.not_before !== undefined && !((child.not_before ?? '') >= parent.not_before),
    read_only: parent.read_only === true && child.read_only !== true,
    require_webhook: parent.require_webhook === true && child.require_webhook !== true,
    require_confirmations: (child.require_confirmations ?? 0) < (parent.require_confirmations ?? 0),
    max_risk: rank(child.max_risk) > rank(parent.max_risk),
    may_share: child.may_share === true && parent.may_share !== true,
  };
  return Object.entries(wider).flatMap(([name, is]) => (is ? [name] : []));
};

/** Where a derived capability allows more than its parent, on any axis; nothing where it is a subset. */
export const beyondParent = (child: Capability, parent: Capability): string[] => [
  ...exceeds(child.constraints, parent.constraints),
  ...(sameResource(child.resource_type, parent.resource_type) ? [] : ['resource_type']),
  ...child.operations.filter((operation) => !parent.operations.includes(operation)),
  ...patternsBeyond(parent.scope, child.scope),
  ...(child.depth === parent.depth + 1 && child.depth <= MAX_DEPTH ? [] : ['depth']),
  ...(child.session_id === parent.session_id ? [] : ['session_id']),
];

/** Few moments, so that they often meet. */
const moment = fc.integer({ min: -3, max: 6 }).map((minutes) => START + minutes * 60_000);
const instant = moment.map(timestamp);
const few = fc.integer({ min: 1, max: 4 });
const patterns = ['*', 'c*', 'chat', 'chat*', 'charm', 'filesystem/*', 'filesystem/read', 'filesystem/read*'];
const names = ['c', 'chat', 'chatter', 'charm', 'filesystem/read', 'filesystem/readme', 'help'];

const arbitraryConstraints: fc.Arbitrary<Constraints> = fc.record(
  {
    rate_limit: few,
    max_concurrent: few,
    max_operations: few,
    expires_at: instant,
    not_before: instant,
    read_only: fc.boolean(),
    require_webhook: fc.boolean(),
    require_confirmations: few,
    max_risk: fc.constantFrom(...RISKS),
    may_share: fc.boolean(),
  },
  { requiredKeys: [], noNullPrototype: true },
);

const arbitraryScope = fc.subarray(patterns);
const arbitraryOperations = fc.subarray([...OPERATIONS], { minLength: 1 });

export const arbitraryCapability = fc
  .record({
    resource_type: fc.constantFrom(...RESOURCE_TYPES),
    operations: arbitraryOperations,
    scope: arbitraryScope,
    constraints: arbitraryConstraints,
  })
  .map(capabilityOf);

/** Mostly beyond what it is asked of. */
export const arbitraryAttenuation: fc.Arbitrary<Attenuation> = fc.record(
  { operations: arbitraryOperations, scope: arbitraryScope, constraints: arbitraryConstraints },
  { requiredKeys: [] },
);

/** Within the operations and the scope of what it is asked of, and with at most two constraints, which may go beyond. */
export const arbitraryNarrowing = ({ operations, scope }: Pick<Capability, 'operations' | 'scope'>) =>
  fc.record({
    operations: fc.subarray(operations, { minLength: 1 }),
    scope: fc.subarray(scope),
    constraints: fc.tuple(arbitraryConstraints, fc.nat(9), fc.nat(9)).map(([constraints, ...kept]): Constraints => {
      const entries = Object.entries(constraints);
      return Object.fromEntries(entries.filter((_, index) => kept.includes(index)));
    }),
  });

export const arbitraryNeed: fc.Arbitrary<Need> = fc.record(
  {
    operation: fc.constantFrom(...OPERATIONS),
    resource: fc.constantFrom('operations' as const, 'mcp_tool' as const),
    name: fc.constantFrom(null, ...names),
    risk: fc.constantFrom(...RISKS),
  },
  { requiredKeys: ['operation', 'resource', 'name'] },
);

/** A time, or none at all. */
export const arbitraryTime = fc.option(moment, { nil: undefined, freq: 8 });
