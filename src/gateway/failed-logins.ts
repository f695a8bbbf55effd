import { LRUCache } from 'lru-cache';

/** Counts failed logins and unauthenticated calls by address (contract, section 6), over all bindings. */
export interface FailedLogins {
  add(address: string): void;
  /** Seconds until the address is looked at again; 0 where it is not over the limit. */
  blockedFor(address: string): number;
}

const WINDOW_MS = 60_000;
/** Addresses that are remembered; an attacker with more is no worse off than one that waits. */
const MAX_ADDRESSES = 10_000;

/** At most `limit` in a minute, counted from an address's first. */
export const createFailedLogins = (limit: number, now: () => number): FailedLogins => {
  const windows = new LRUCache<string, { readonly since: number; count: number }>({ max: MAX_ADDRESSES });
  const current = (address: string) => {
    const window = windows.get(address);
    return window !== undefined && now() - window.since < WINDOW_MS ? window : undefined;
  };
  return {
    add: (address) => {
      const window = current(address);
      if (window === undefined) windows.set(address, { since: now(), count: 1 });
      else window.count += 1;
    },
    blockedFor: (address) => {
      const window = current(address);
      if (window === undefined || window.count < limit) return 0;
      return Math.max(1, Math.ceil((window.since + WINDOW_MS - now()) / 1000));
    },
  };
};
