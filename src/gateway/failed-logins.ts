import { problem, type Problem } from '../../machines/error.ts';
import { createCounters } from './counters.ts';

/** Counts failed logins and unauthenticated calls by address (contract, section 6), over all bindings. */
export interface FailedLogins {
  add(address: string): void;
  /** Seconds until the address is looked at again; 0 where it is not over the limit. */
  blockedFor(address: string): number;
}

const WINDOW_S = 60;
/** Addresses that are remembered; an attacker with more is no worse off than one that waits. */
const MAX_ADDRESSES = 10_000;

/** At most `limit` in a minute, counted from an address's first. `onAdd` hears of each. */
export const createFailedLogins = (
  limit: number,
  now: () => number,
  onAdd: (address: string) => void = () => {},
): FailedLogins => {
  const counters = createCounters({ window: WINDOW_S, max: MAX_ADDRESSES, now });
  return {
    add: (address) => {
      void counters.count(address);
      onAdd(address);
    },
    blockedFor: (address) => {
      const { count, endsIn } = counters.peek(address);
      return count < limit ? 0 : endsIn;
    },
  };
};

/** The 429 of an address that is blocked for so many seconds. */
export const tooManyFailedLogins = (limit: number, retry_after: number): Problem =>
  problem('rate_limited', 'too many failed logins', {
    reason: 'address',
    retry_after,
    limit: { policy: 'address', quota: limit, window: WINDOW_S },
  });
