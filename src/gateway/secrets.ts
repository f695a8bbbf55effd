import { hash as digest, randomBytes, timingSafeEqual } from 'node:crypto';

/** 256 random bits as 43 base64url characters. */
export const drawSecret = (): string => randomBytes(32).toString('base64url');

/** SHA-256 in hexadecimal: all that is kept of a secret. */
export const sha256 = (text: string | Uint8Array): string => digest('sha256', text, 'hex');

/** Whether `secret` has this SHA-256, in time that does not depend on where they differ. */
export const hashMatches = (hash: string, secret: string): boolean => {
  const expected = Buffer.from(hash, 'hex');
  const given = digest('sha256', secret, 'buffer');
  return expected.length === given.length && timingSafeEqual(expected, given);
};
