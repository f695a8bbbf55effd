import { LRUCache } from 'lru-cache';
import type { KeyStore, StoredKey } from '../../actors/journal.ts';
import type { Facts, ClientFacts } from './facts.ts';
import { parseCredentials } from './keys.ts';
import { hashMatches } from './secrets.ts';

/** Who a request comes from, authenticated. */
export type Identity =
  | { readonly kind: 'key'; readonly principal: string; readonly operator: boolean; readonly key_id: string }
  | { readonly kind: 'client'; readonly principal: string; readonly client: ClientFacts };

export interface Principals {
  /** Null for credentials that are malformed, unknown, wrong or dead: the outside cannot tell which. */
  authenticate(text: string): Promise<Identity | null>;
  /** Whether an API key still is one. */
  isCurrent(keyId: string): Promise<boolean>;
  /** Whether these credentials were good a moment ago and still may be: no look-up. */
  isKnown(text: string): boolean;
}

/** How long a looked-up API key is believed, in ms: so late may a revocation take hold. */
const KEY_TTL_MS = 1_000;

export const createPrincipals = (keys: KeyStore, facts: Facts): Principals => {
  const found = new LRUCache<string, StoredKey>({ max: 5_000, ttl: KEY_TTL_MS });

  const findKey = async (id: string): Promise<StoredKey | null> => {
    const known = found.get(id);
    if (known !== undefined) return known;
    const stored = await keys.find(id);
    if (stored !== null) found.set(id, stored);
    return stored;
  };

  return {
    authenticate: async (text) => {
      const credentials = parseCredentials(text);
      if (credentials === null) return null;
      if (credentials.kind === 'key') {
        const stored = await findKey(credentials.id);
        if (stored === null || !hashMatches(stored.hash, text) || stored.revoked_at !== null) return null;
        return { kind: 'key', principal: stored.principal, operator: stored.operator, key_id: stored.id };
      }
      const client = await facts.client(credentials.id);
      if (client === null || !hashMatches(client.token_hash, text)) return null;
      return { kind: 'client', principal: client.principal, client };
    },
    isCurrent: async (keyId) => (await findKey(keyId))?.revoked_at === null,
    isKnown: (text) => {
      const credentials = parseCredentials(text);
      if (credentials === null) return false;
      const hash =
        credentials.kind === 'key' ? found.get(credentials.id)?.hash : facts.knownClient(credentials.id)?.token_hash;
      return hash !== undefined && hashMatches(hash, text);
    },
  };
};
