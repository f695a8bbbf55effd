import { LRUCache } from 'lru-cache';
import type { StoredKey } from '../../actors/journal.ts';
import type { GatewayContext } from './context.ts';

/** Logins as the audit knows them. */
export interface LoginAudit {
  /** A login with a key: recorded once for each address and hour. */
  keyUsed(key: StoredKey, address: string): void;
  loginFailed(address: string): void;
}

const HOUR_MS = 3_600_000;
/** Keys and addresses that are remembered; one that is forgotten is recorded anew. */
const MAX_USES = 20_000;

export interface LoginAuditOptions {
  readonly audit: GatewayContext['audit'];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** What could not be recorded. A login does not wait for its record. */
  readonly onError: (error: unknown) => void;
}

export const createLoginAudit = ({ audit, now, onError }: LoginAuditOptions): LoginAudit => {
  const uses = new LRUCache<string, number>({ max: MAX_USES });
  const none = { session_id: null, client_id: null };
  return {
    keyUsed: ({ id, principal }, address) => {
      const at = now();
      const use = `${id} ${address}`;
      const since = uses.get(use);
      if (since !== undefined && at - since < HOUR_MS) return;
      uses.set(use, at);
      audit
        .note({ type: 'key_used', at, ...none, principal, data: { key_id: id, address } })
        .catch((error: unknown) => {
          uses.delete(use);
          onError(error);
        });
    },
    loginFailed: (address) =>
      audit.merge(
        { type: 'login_failed', at: now(), ...none, principal: null, data: { address } },
        `login_failed ${address}`,
      ),
  };
};
