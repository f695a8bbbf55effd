import type { Attenuation } from './attenuate-schema.ts';
import { OPERATIONS, patternsBeyond, sameResource } from './capability.ts';
import type { Capability } from './capability.ts';
import { allowTime, narrowed, settled } from './constraint.ts';
import type { Constraints, ConstraintsInput } from './constraint.ts';
import { MAX_DEPTH } from './descent.ts';
import { problem } from './error.ts';
import type { FieldError, Problem } from './error.ts';
import { timestamp } from './event.ts';
import type { CapabilityId } from './id.ts';

export type { Attenuation } from './attenuate-schema.ts';

/** Whose the derived capability is, as drawn outside. */
interface Holder {
  readonly id: CapabilityId;
  readonly principal: string;
}

export type Attenuated =
  | { readonly ok: true; readonly capability: Capability }
  | { readonly ok: false; readonly problem: Problem };

/** A lifetime without a moment in it, by the field that was asked for. */
const emptyLifetime = (asked: ConstraintsInput, { not_before, expires_at }: Constraints, at: number): FieldError[] => {
  if (expires_at === undefined) return [];
  const from = not_before === undefined ? at : Math.max(at, Date.parse(not_before));
  const to = Date.parse(expires_at);
  if (from < to) return [];
  return asked.not_before !== undefined && at < to
    ? [{ field: 'not_before', expected: `before ${expires_at}` }]
    : [{ field: 'expires_at', expected: `after ${timestamp(from)}` }];
};

const deriveConstraints = (
  parent: Constraints,
  asked: ConstraintsInput,
  at: number,
): { readonly constraints: Constraints; readonly errors: readonly FieldError[] } => {
  const { constraints, widened } = narrowed(parent, settled(asked, at));
  const errors = widened.length > 0 ? widened : emptyLifetime(asked, constraints, at);
  const named = (field: string): string =>
    field === 'expires_at' && asked.expires_in !== undefined ? 'expires_in' : field;
  return {
    constraints,
    errors: errors.map(({ field, expected }) => ({ field: `constraints.${named(field)}`, expected })),
  };
};

/**
 * Derives a capability that is a subset of `parent` on every axis (contract, section 6). What is not asked for is
 * inherited, except `may_share`, which has to be asked for. Asking for more is `invalid_input` with every such field;
 * a parent that is over at `at` (ms since the epoch), or already `MAX_DEPTH` from the root, a `security_violation`.
 */
export const attenuate = (parent: Capability, asked: Attenuation, holder: Holder, at: number): Attenuated => {
  const refuse = (detail: string, reason: string): Attenuated => ({
    ok: false,
    problem: problem('security_violation', detail, { reason }),
  });
  if (parent.depth >= MAX_DEPTH) return refuse(`a capability descends at most ${MAX_DEPTH} times`, 'depth');
  const { expires_at } = parent.constraints;
  if (expires_at !== undefined && !allowTime({ expires_at }, at)) return refuse('the capability is over', 'time');

  const { resource_type = parent.resource_type, operations = parent.operations, scope = parent.scope } = asked;
  const { constraints, errors } = deriveConstraints(parent.constraints, asked.constraints ?? {}, at);
  const beyond: FieldError[] = [...errors];
  if (!sameResource(resource_type, parent.resource_type))
    beyond.push({ field: 'resource_type', expected: parent.resource_type });
  if (!operations.every((operation) => parent.operations.includes(operation)))
    beyond.push({ field: 'operations', expected: `of ${parent.operations.join(', ')}` });
  if (patternsBeyond(parent.scope, scope).length > 0)
    beyond.push({ field: 'scope', expected: `within ${parent.scope.join(', ')}` });
  if (beyond.length > 0)
    return {
      ok: false,
      problem: problem('invalid_input', 'a derived capability only narrows', { errors: beyond }),
    };
  return {
    ok: true,
    capability: {
      ...holder,
      resource_type,
      operations: OPERATIONS.filter((operation) => operations.includes(operation)),
      scope: [...new Set(scope)],
      constraints,
      session_id: parent.session_id,
      parent_id: parent.id,
      depth: parent.depth + 1,
      issued_at: timestamp(at),
    },
  };
};

/** What a share has unless it says otherwise (contract, section 6). */
const SHARE_OPERATIONS = 100;
const SHARE_LIFETIME_MS = 86_400_000;
/** The last that RFC 3339 can write: years have four digits. */
const LAST_INSTANT_MS = Date.UTC(9_999, 11, 31, 23, 59, 59, 999);

/**
 * The same request with a share's defaults where it says nothing. They stay within the parent, so that a default is never
 * what a request is refused for; `read_only` is the parent's.
 */
export const withShareDefaults = ({ constraints: bounds }: Capability, asked: Attenuation, at: number): Attenuation => {
  const { max_operations = Math.min(SHARE_OPERATIONS, bounds.max_operations ?? Infinity), ...others } =
    asked.constraints ?? {};
  // A lifetime that begins later is as long as one that begins now.
  const from = others.not_before === undefined ? at : Math.max(at, Date.parse(others.not_before));
  const expiry = Math.min(
    from + SHARE_LIFETIME_MS,
    LAST_INSTANT_MS,
    bounds.expires_at === undefined ? Infinity : Date.parse(bounds.expires_at),
  );
  const lifetime =
    others.expires_at === undefined && others.expires_in === undefined ? { expires_at: timestamp(expiry) } : {};
  return { ...asked, constraints: { ...others, max_operations, ...lifetime } };
};
