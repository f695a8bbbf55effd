import { readFile } from 'node:fs/promises';
import type { JSONWebKeySet } from 'jose';
import { fieldErrors } from '../../machines/error.ts';
import { jwksSchema, type JwtAlgorithm, type JwtIssuer } from '../gateway/jwt.ts';
import { ConfigError } from './config-error.ts';
import type { Settings } from './schema.ts';

const DEFAULT_ALGORITHMS: readonly JwtAlgorithm[] = ['EdDSA', 'ES256', 'RS256', 'PS256'];
const DEFAULT_TOLERANCE = 5;

/** The public keys in a file. What is wrong with it is said without quoting it. */
const readKeySet = async (path: string, file?: string): Promise<JSONWebKeySet> => {
  const fail = (expected: string, cause?: unknown): never => {
    throw new ConfigError('auth.jwks', expected, { file, cause });
  };
  const content = await readFile(path, 'utf8').catch((error: Error) => fail(`could not be read: ${error.message}`));
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch {
    return fail(`expected JSON in ${path}`);
  }
  const checked = jwksSchema.safeParse(parsed);
  if (checked.success) return checked.data as JSONWebKeySet;
  const [error] = fieldErrors(checked.error);
  return fail(`expected ${error?.expected} for ${error?.field || 'the whole'} of ${path}`);
};

/** The issuer that `auth` names, its keys at hand where they are in a file; null where there is none. */
export const jwtIssuerOf = async (auth: Settings['auth'], file?: string): Promise<JwtIssuer | null> => {
  if (auth === undefined) return null;
  const { issuer, audience, algorithms, clock_tolerance, max_age, jwks_uri, jwks } = auth;
  return {
    issuer,
    audience: typeof audience === 'string' ? [audience] : audience,
    algorithms: algorithms ?? DEFAULT_ALGORITHMS,
    keys: jwks_uri === undefined ? { set: await readKeySet(jwks as string, file) } : { uri: jwks_uri },
    clockTolerance: clock_tolerance ?? DEFAULT_TOLERANCE,
    maxAge: max_age ?? null,
  };
};
