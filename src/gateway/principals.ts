import { LRUCache } from 'lru-cache';
import type { KeyStore, StoredKey } from '../../actors/journal.ts';
import type { Cuts } from './cuts.ts';
import type { Facts, ClientFacts } from './facts.ts';
import { looksLikeJwt, type JwtIdentity, type JwtVerifier } from './jwt.ts';
import { parseCredentials } from './keys.ts';
import { hashMatches } from './secrets.ts';

/** Who a request comes from, authenticated. A client acts within its session; the others act for themselves. */
export type Identity = KeyIdentity | JwtIdentity | ClientIdentity | AnonymousIdentity;

interface KeyIdentity {
  readonly kind: 'key';
  readonly principal: string;
  readonly operator: boolean;
  readonly key_id: string;
}

export interface ClientIdentity {
  readonly kind: 'client';
  readonly principal: string;
  readonly client: ClientFacts;
}

/** Nobody in particular: what such a call may do depends on the token in its input alone. */
interface AnonymousIdentity {
  readonly kind: 'anonymous';
  readonly principal: string;
}

export const ANONYMOUS: AnonymousIdentity = Object.freeze({ kind: 'anonymous', principal: 'anonymous' });

export interface Principals {
  /** Null for credentials that are malformed, unknown, wrong or dead: the outside cannot tell which. */
  authenticate(text: string, address: string): Promise<Identity | null>;
  /** Whether the credentials behind an identity still hold; a client's end is told by its cut. */
  isCurrent(identity: Identity): Promise<boolean>;
  /** Whether these credentials were good before and still may be: no look-up, and no right by itself. */
  isKnown(text: string): boolean;
}

export interface PrincipalsOptions {
  readonly keys: KeyStore;
  readonly facts: Facts;
  /** Revoked keys are cut, as clients are. */
  readonly cuts: Pick<Cuts, 'wasCut'>;
  /** Null where no issuer is configured. */
  readonly jwt: JwtVerifier | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Hears of each login with a key. */
  readonly onKey: (key: StoredKey, address: string) => void;
}

/** How long a looked-up API key is believed, in ms: so late may a revocation by another process take hold. */
const KEY_TTL_MS = 1_000;

export const createPrincipals = ({ keys, facts, cuts, jwt, now, onKey }: PrincipalsOptions): Principals => {
  const found = new LRUCache<string, StoredKey>({ max: 5_000, ttl: KEY_TTL_MS });
  /** Hashes of the keys that were used, by id: who has one is known for longer than it is believed without looking. */
  const used = new LRUCache<string, string>({ max: 5_000 });

  /** A key that is not revoked. */
  const findKey = async (id: string): Promise<StoredKey | null> => {
    const known = found.get(id);
    const stored = known ?? (await keys.find(id));
    if (stored === null) return null;
    if (known === undefined) found.set(id, stored);
    // Asked after the look-up: what was read may be older than the revocation.
    return stored.revoked_at === null && !cuts.wasCut(id) ? stored : null;
  };

  return {
    authenticate: async (text, address) => {
      if (jwt !== null && looksLikeJwt(text)) return jwt.verify(text);
      const credentials = parseCredentials(text);
      if (credentials === null) return null;
      if (credentials.kind === 'key') {
        const stored = await findKey(credentials.id);
        if (stored === null) used.delete(credentials.id);
        if (stored === null || !hashMatches(stored.hash, text)) return null;
        used.set(stored.id, stored.hash);
        onKey(stored, address);
        return { kind: 'key', principal: stored.principal, operator: stored.operator, key_id: stored.id };
      }
      const client = await facts.client(credentials.id);
      if (client === null || !hashMatches(client.token_hash, text)) return null;
      return { kind: 'client', principal: client.principal, client };
    },
    isCurrent: async (identity) => {
      if (identity.kind === 'key') return (await findKey(identity.key_id)) !== null;
      return identity.kind !== 'jwt' || now() < identity.expires_at;
    },
    isKnown: (text) => {
      if (jwt !== null && looksLikeJwt(text)) return jwt.isKnown(text);
      const credentials = parseCredentials(text);
      if (credentials === null) return false;
      const hash =
        credentials.kind === 'key' ? used.get(credentials.id) : facts.knownClient(credentials.id)?.token_hash;
      return hash !== undefined && hashMatches(hash, text);
    },
  };
};
