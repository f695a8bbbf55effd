import { RISKS } from './capability-axes.ts';
import type { Risk } from './capability-axes.ts';
import type { Constraints, ConstraintsInput } from './constraint-schema.ts';
import type { FieldError } from './error.ts';
import { timestamp } from './event.ts';

export type { Constraints, ConstraintsInput } from './constraint-schema.ts';

/** The constraints that checked input asks for at `at` (ms since the epoch). */
export const settled = ({ expires_in, ...asked }: ConstraintsInput, at: number): Constraints => {
  const expires = expires_in === undefined ? asked.expires_at : timestamp(at + expires_in * 1_000);
  return {
    ...asked,
    ...(expires === undefined ? {} : { expires_at: timestamp(Date.parse(expires)) }),
    ...(asked.not_before === undefined ? {} : { not_before: timestamp(Date.parse(asked.not_before)) }),
  };
};

type ConstraintName = keyof Constraints;
type Value = NonNullable<Constraints[ConstraintName]>;

/** How the values of one constraint are ordered. */
interface Axis {
  /** How far a value lets its holder go: the smaller, the narrower. */
  readonly reach: (value: Value) => number;
  /** The reach without the constraint. */
  readonly absent: number;
  /** What may be asked for under a parent of this value. */
  readonly bound: (parent: Value | undefined) => string;
}

const AT_MOST: Axis = { reach: Number, absent: Infinity, bound: (parent) => `at most ${parent}` };
const STICKY: Axis = { reach: (value) => Number(!value), absent: 1, bound: () => 'true' };
const time = (value: Value): number => Date.parse(String(value));

const AXES: Readonly<Record<ConstraintName, Axis>> = {
  rate_limit: AT_MOST,
  max_concurrent: AT_MOST,
  max_operations: AT_MOST,
  expires_at: { reach: time, absent: Infinity, bound: (parent) => `no later than ${parent}` },
  not_before: { reach: (value) => -time(value), absent: Infinity, bound: (parent) => `no earlier than ${parent}` },
  read_only: STICKY,
  require_webhook: STICKY,
  require_confirmations: { reach: (value) => -Number(value), absent: 0, bound: (parent) => `at least ${parent}` },
  max_risk: { ...AT_MOST, reach: (value) => RISKS.indexOf(value as Risk) },
  may_share: { reach: Number, absent: 0, bound: () => 'false' },
};

const reachOf = ({ reach, absent }: Axis, value: Value | undefined): number =>
  value === undefined ? absent : reach(value);

/**
 * The constraints of what is derived under `parent` and asked for as `asked`: each at most the parent's. What is not
 * asked for is inherited where its absence would widen. `widened` names what was asked for beyond the parent. A value
 * that says the same as its absence is left out, so that equal constraints look alike.
 */
export const narrowed = (
  parent: Constraints,
  asked: Constraints,
): { readonly constraints: Constraints; readonly widened: readonly FieldError[] } => {
  const kept: [ConstraintName, Value][] = [];
  const widened: FieldError[] = [];
  for (const name of Object.keys(AXES) as ConstraintName[]) {
    const axis = AXES[name];
    const bound = reachOf(axis, parent[name]);
    const widens = reachOf(axis, asked[name]) > bound;
    if (widens && asked[name] !== undefined) widened.push({ field: name, expected: axis.bound(parent[name]) });
    const value = widens ? parent[name] : asked[name];
    if (value !== undefined && axis.reach(value) !== axis.absent) kept.push([name, value]);
  }
  return { constraints: Object.fromEntries(kept), widened };
};

/** Whether they allow a use at `at` (ms since the epoch); an unknown time is inside no bounds. */
export const allowTime = ({ not_before, expires_at }: Constraints, at: number | undefined): boolean =>
  (not_before === undefined || (at !== undefined && at >= Date.parse(not_before))) &&
  (expires_at === undefined || (at !== undefined && at < Date.parse(expires_at)));

/** Whether they allow a command of this risk; an unknown risk is below no bound. */
export const allowRisk = ({ max_risk }: Constraints, risk: Risk | undefined): boolean =>
  max_risk === undefined || (risk !== undefined && RISKS.indexOf(risk) <= RISKS.indexOf(max_risk));
