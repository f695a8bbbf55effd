import { z } from 'zod';
import { JWT_ALGORITHMS } from '../gateway/jwt.ts';
import { strict, text, whole } from './fields.ts';

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Who answers for the keys answers for every principal: only over TLS, or without leaving the machine. */
const isSafe = (address: string): boolean => {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname, username, password } = new URL(address);
  const isTrusted = protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname));
  return isTrusted && username === '' && password === '';
};

const JWKS_URI = 'an https: address without a user (http: on this machine only)';

/** Whose JWTs are believed. Symmetric algorithms are none of those that can be named. */
export const authSchema = strict({
  /** `iss`, exactly. */
  issuer: text,
  /** What `aud` names: one, or any of several. */
  audience: z.union([text, z.array(text).min(1)], 'a text, or a list of texts'),
  /** Where the issuer publishes its keys. */
  jwks_uri: z.string(JWKS_URI).refine(isSafe, JWKS_URI).optional(),
  /** A file with them, instead. */
  jwks: text.optional(),
  /** Default EdDSA, ES256, RS256, PS256. */
  algorithms: z
    .array(z.enum(JWT_ALGORITHMS, `one of ${JWT_ALGORITHMS.join(', ')}`), 'a list of algorithms')
    .min(1, 'at least one algorithm')
    .optional(),
  /** Seconds by which clocks may differ; default 5. */
  clock_tolerance: whole(0, 300).optional(),
  /** Seconds since `iat` after which a token is over; default none. */
  max_age: whole(1).optional(),
}).superRefine(({ jwks_uri, jwks }, context) => {
  if ((jwks_uri === undefined) === (jwks === undefined))
    context.addIssue({ code: 'custom', path: ['jwks_uri'], message: 'exactly one of jwks_uri and jwks' });
});
