import type { FetchImplementation, JSONWebKeySet, JWTPayload, JWTVerifyGetKey } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Log } from './log.ts';
import { sha256 } from './secrets.ts';

/** Signatures whose key the checker cannot sign with. `none` and HMAC are never among them. */
export const JWT_ALGORITHMS = [
  'EdDSA',
  'Ed25519',
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
] as const;
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number];

/** Whose tokens are believed (contract, section 11, `auth`). */
export interface JwtIssuer {
  /** `iss`, exactly. */
  readonly issuer: string;
  /** One of them is in `aud`. */
  readonly audience: readonly string[];
  readonly algorithms: readonly JwtAlgorithm[];
  /** Where the keys are: fetched when they are needed, or at hand. */
  readonly keys: { readonly uri: string } | { readonly set: JSONWebKeySet };
  /** Seconds by which the issuer's clock may differ. */
  readonly clockTolerance: number;
  /** Seconds since `iat` after which a token is over, whatever its `exp`; null for no such bound. */
  readonly maxAge: number | null;
}

/** A token that holds. */
export interface JwtIdentity {
  readonly kind: 'jwt';
  readonly principal: string;
  readonly operator: false;
  /** Milliseconds since the epoch, the tolerance included: the token is refused from then on. */
  readonly expires_at: number;
}

export interface JwtVerifier {
  /** Null for every token that does not hold, and where the keys cannot be had: the outside cannot tell which. */
  verify(text: string): Promise<JwtIdentity | null>;
  /** Whether it was good before and still may be: no look-up. */
  isKnown(text: string): boolean;
}

/** What a JWKS must be: public keys only, for what could sign has no business here. */
export const jwksSchema = z.looseObject({
  keys: z
    .array(
      z
        .looseObject({ kty: z.enum(['RSA', 'EC', 'OKP', 'AKP'], 'RSA, EC, OKP or AKP') })
        .refine((key) => !('d' in key || 'priv' in key || 'k' in key), 'a public key'),
    )
    .min(1, 'at least one key'),
});

/** RFC 7519, section 3: three base64url parts; the last is empty in an unsecured one. */
const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
/** Characters of a token; longer ones are not looked at. */
const MAX_LENGTH = 8 * 1024;
const MAX_SUBJECT = 200;
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;
/** Tokens that are remembered as good, and for how long at most, in ms. */
const MAX_KNOWN = 5_000;
const KNOWN_MS = 60_000;
const FETCH_TIMEOUT_MS = 5_000;
/** A key set that was fetched is not fetched again for an unknown key within this time; nor is one that failed. */
const COOLDOWN_MS = 30_000;
const FAILED_COOLDOWN_MS = 5_000;
const MAX_AGE_MS = 600_000;

/**
 * Whether the signature is spelled as its bytes are (RFC 4648, section 3.5): the bits of the last character that stand for
 * nothing are zero, so that one token has one text. The other two parts are signed as they are spelled.
 */
const isCanonical = (text: string): boolean => {
  const signature = text.slice(text.lastIndexOf('.') + 1);
  return Buffer.from(signature, 'base64url').toString('base64url') === signature;
};

/** Whether a bearer token claims to be a JWT. */
export const looksLikeJwt = (text: string): boolean => text.length <= MAX_LENGTH && SHAPE.test(text);

export interface JwtVerifierOptions {
  readonly log: Pick<Log, 'warn'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Fetches the key set of the issuer; what cannot be fetched or is none is logged, and left alone for a while. */
const createFetch = ({ log, now }: JwtVerifierOptions): FetchImplementation => {
  let retryAt = 0;
  return async (url, options) => {
    if (now() < retryAt) throw new Error('the key set could not be fetched a moment ago');
    try {
      const answer = await fetch(url, options);
      if (answer.status !== 200) throw new Error(`expected 200, got ${answer.status}`);
      const set: unknown = await answer.json();
      if (typeof set !== 'object' || set === null || !Array.isArray((set as { keys?: unknown }).keys))
        throw new Error('expected a JSON Web Key Set');
      return Response.json(set);
    } catch (error) {
      retryAt = now() + FAILED_COOLDOWN_MS;
      log.warn({ err: error, url }, 'the keys of the issuer of JWTs could not be fetched');
      throw error;
    }
  };
};

/** A subject that may name a principal; null for others. */
const subjectOf = ({ sub }: JWTPayload): string | null =>
  typeof sub === 'string' && sub.length > 0 && sub.length <= MAX_SUBJECT && sub.isWellFormed() && !CONTROL.test(sub)
    ? sub
    : null;

/** The library is loaded where there is an issuer: few servers have one. */
const loadJose = async ({ keys }: JwtIssuer, options: JwtVerifierOptions) => {
  const { createLocalJWKSet, createRemoteJWKSet, customFetch, jwtVerify } = await import('jose');
  const keyOf: JWTVerifyGetKey =
    'uri' in keys
      ? createRemoteJWKSet(new URL(keys.uri), {
          timeoutDuration: FETCH_TIMEOUT_MS,
          cooldownDuration: COOLDOWN_MS,
          cacheMaxAge: MAX_AGE_MS,
          [customFetch]: createFetch(options),
        })
      : createLocalJWKSet(keys.set);
  return { jwtVerify, keyOf };
};

/** Checks JWTs (RFC 7519; RFC 8725 for what is refused). */
export const createJwtVerifier = (issuer: JwtIssuer, options: JwtVerifierOptions): JwtVerifier => {
  const { now } = options;
  const { clockTolerance, maxAge } = issuer;
  const loaded = loadJose(issuer, options);
  loaded.catch(() => {});
  const known = new LRUCache<string, { readonly identity: JwtIdentity; readonly until: number }>({ max: MAX_KNOWN });

  /** Checked a moment ago. */
  const recall = (hash: string): JwtIdentity | null => {
    const found = known.get(hash);
    return found !== undefined && now() < found.until ? found.identity : null;
  };

  const check = async (text: string): Promise<JwtIdentity | null> => {
    if (!isCanonical(text)) return null;
    const { jwtVerify, keyOf } = await loaded;
    const at = now();
    const { payload } = await jwtVerify(text, keyOf, {
      issuer: issuer.issuer,
      audience: [...issuer.audience],
      algorithms: [...issuer.algorithms],
      requiredClaims: ['exp', 'sub'],
      clockTolerance,
      currentDate: new Date(at),
      ...(maxAge === null ? {} : { maxTokenAge: maxAge }),
    });
    const { exp = Number.NaN, iat } = payload;
    const subject = subjectOf(payload);
    // Without a maximal age the library takes an `iat` of any kind.
    const isIssued = iat === undefined || (typeof iat === 'number' && iat <= Math.floor(at / 1_000) + clockTolerance);
    const end = Math.min(exp, maxAge === null ? Infinity : (iat ?? 0) + maxAge) + clockTolerance;
    const expires_at = Math.floor(end * 1_000);
    if (subject === null || !isIssued || !Number.isSafeInteger(expires_at)) return null;
    return { kind: 'jwt', principal: `jwt:${subject}`, operator: false, expires_at };
  };

  return {
    verify: async (text) => {
      if (!looksLikeJwt(text)) return null;
      const hash = sha256(text);
      const recalled = recall(hash);
      if (recalled !== null) return recalled;
      const identity = await check(text).catch(() => null);
      if (identity === null) known.delete(hash);
      else known.set(hash, { identity, until: Math.min(identity.expires_at, now() + KNOWN_MS) });
      return identity;
    },
    isKnown: (text) => looksLikeJwt(text) && now() < (known.get(sha256(text))?.identity.expires_at ?? 0),
  };
};
