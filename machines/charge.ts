import type { Capability } from './capability.ts';
import { lineage } from './descent.ts';
import { problem } from './error.ts';
import type { Problem } from './error.ts';
import { counted, waitFor } from './rate-window.ts';
import type { RateWindow } from './rate-window.ts';

/** What one capability has used. */
export interface Meter {
  readonly used: number;
  readonly running: number;
  /** Empty where no `rate_limit` asks for it. */
  readonly window: RateWindow;
}

/**
 * What the capabilities of a session have used: plain JSON. Only those with a limit are metered. Minutes are counted on a
 * clock that never falls: where the wall's was set back, no time has passed (contract, promise 6), so nothing is charged
 * anew and nothing is barred until the wall has caught up.
 */
export interface Ledger {
  /** The time of the last charge, ms since the epoch. */
  readonly charged_at: number;
  /** By how much the wall's clock was set back in all, in ms. */
  readonly behind_ms: number;
  readonly meters: Readonly<Record<string, Meter>>;
}

export const EMPTY_LEDGER: Ledger = { charged_at: 0, behind_ms: 0, meters: {} };

const UNUSED: Meter = { used: 0, running: 0, window: [] };
/** Nobody knows when an execution will end. */
const CONCURRENT_RETRY_S = 1;

const behindAt = ({ charged_at, behind_ms }: Ledger, at: number): number => behind_ms + Math.max(0, charged_at - at);

const isLimited = ({ constraints: { rate_limit, max_concurrent, max_operations } }: Capability): boolean =>
  rate_limit !== undefined || max_concurrent !== undefined || max_operations !== undefined;

/** The first limit that is reached; `retry_after` in seconds. */
interface Shortage {
  readonly reason: 'exhausted' | 'rate_limited' | 'concurrent';
  readonly retry_after: number;
  /** Charges in the 60 minutes; only of a rate. */
  readonly quota?: number;
}

const shortageOf = ({ constraints }: Capability, { used, running, window }: Meter, now: number): Shortage | null => {
  const { rate_limit, max_concurrent, max_operations } = constraints;
  if (max_operations !== undefined && used >= max_operations) return { reason: 'exhausted', retry_after: Infinity };
  const wait = rate_limit === undefined ? 0 : waitFor(window, rate_limit, now);
  if (wait > 0)
    return { reason: 'rate_limited', retry_after: Math.ceil(wait / 1_000), ...(rate_limit && { quota: rate_limit }) };
  if (max_concurrent !== undefined && running >= max_concurrent)
    return { reason: 'concurrent', retry_after: CONCURRENT_RETRY_S };
  return null;
};

const DETAILS = {
  exhausted: 'the operations of the capability are used up',
  rate_limited: 'the rate limit of the capability is reached',
  concurrent: 'as many executions as the capability allows are running',
} as const;

const HOUR_S = 3_600;

const refusalOf = ({ reason, retry_after, quota }: Shortage): Problem =>
  reason === 'exhausted'
    ? problem('security_violation', DETAILS[reason], { reason })
    : problem('rate_limited', DETAILS[reason], {
        reason,
        retry_after,
        ...(quota === undefined ? {} : { limit: { policy: 'capability', quota, window: HOUR_S } }),
      });

type Charged =
  | { readonly ok: true; readonly ledger: Ledger; readonly charged: readonly string[] }
  | { readonly ok: false; readonly shortage: Shortage };

/** Charges a capability and its ancestors at `at` (ms since the epoch): all of them, or none. */
const chargeLine = (ledger: Ledger, line: readonly Capability[], at: number): Charged => {
  const limited = line.filter(isLimited);
  if (limited.length === 0) return { ok: true, ledger, charged: [] };
  const behind_ms = behindAt(ledger, at);
  const now = at + behind_ms;
  const meters = { ...ledger.meters };
  let shortage: Shortage | null = null;
  for (const capability of limited) {
    const { id, constraints } = capability;
    const meter = meters[id] ?? UNUSED;
    const met = shortageOf(capability, meter, now);
    if (met !== null && met.retry_after > (shortage?.retry_after ?? 0)) shortage = met;
    const window = constraints.rate_limit === undefined ? meter.window : counted(meter.window, now);
    meters[id] = { used: meter.used + 1, running: meter.running + 1, window };
  }
  if (shortage !== null) return { ok: false, shortage };
  return { ok: true, ledger: { charged_at: at, behind_ms, meters }, charged: limited.map(({ id }) => id) };
};

/** `charged` are the ids to give to `release` when the execution has ended. */
export type Charge =
  | {
      readonly ok: true;
      readonly capability: Capability;
      readonly ledger: Ledger;
      readonly charged: readonly string[];
    }
  | { readonly ok: false; readonly problem: Problem };

/**
 * Step 8 of the decision (contract, section 6): charges the first of `covering` whose limits and those of its ancestors
 * leave room at `at` (ms since the epoch), all at once. Where none does, nothing is charged and the answer is the one
 * that a retry mends soonest: `rate_limited` with `retry_after` in seconds, or `security_violation` where all are used
 * up. `find` knows every capability of the session, its root included.
 */
export const charge = (
  ledger: Ledger,
  covering: readonly Capability[],
  find: (id: string) => Capability | undefined,
  at: number,
): Charge => {
  let soonest: Shortage | null = null;
  for (const capability of covering) {
    const line = lineage(capability, find);
    if (line === null) continue;
    const result = chargeLine(ledger, line, at);
    if (result.ok) return { ok: true, capability, ledger: result.ledger, charged: result.charged };
    if (soonest === null || result.shortage.retry_after < soonest.retry_after) soonest = result.shortage;
  }
  return {
    ok: false,
    problem:
      soonest === null
        ? problem('security_violation', 'no capability is left', { reason: 'no_capability' })
        : refusalOf(soonest),
  };
};

/** An execution has ended: what was `charged` for it runs one less. Capabilities that are gone are passed over. */
export const release = (ledger: Ledger, charged: readonly string[]): Ledger => {
  if (charged.length === 0) return ledger;
  const meters = { ...ledger.meters };
  for (const id of charged) {
    const meter = meters[id];
    if (meter !== undefined) meters[id] = { ...meter, running: Math.max(0, meter.running - 1) };
  }
  return { ...ledger, meters };
};

/** Drops the meters of capabilities that are gone for good. */
export const withoutMeters = (ledger: Ledger, ids: readonly string[]): Ledger => {
  const gone = new Set(ids);
  return { ...ledger, meters: Object.fromEntries(Object.entries(ledger.meters).filter(([id]) => !gone.has(id))) };
};
