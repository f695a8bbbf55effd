import { randomFillSync } from 'node:crypto';
import { V7Generator } from 'uuidv7';
import type { Clock } from './clock.ts';
import { ID_PREFIXES, type Id, type IdKind } from '../machines/id.ts';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** 128 bits as 26 Crockford base32 characters, most significant first: sorts as the bytes do. */
const base32 = (bytes: Uint8Array): string => {
  let text = '';
  // 130 bits are 26 digits: the first digit holds the top three bits of the value.
  let buffer = 0;
  let bits = 2;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(buffer >>> bits) & 31];
    }
    buffer &= (1 << bits) - 1;
  }
  return text;
};

/** Random words drawn many at a time: a call into the system's source for each id would cost more than the id. */
const pooledRandom = (): { nextUint32: () => number } => {
  const pool = new Uint32Array(1_024);
  let next = pool.length;
  return {
    nextUint32: () => {
      if (next === pool.length) {
        randomFillSync(pool);
        next = 0;
      }
      return pool[next++] as number;
    },
  };
};

/**
 * Draws ids: a UUIDv7 (RFC 9562) in base32 behind the prefix of its kind; strictly increasing within a thread, as long as
 * the clock does not go back.
 */
export const createIdentifiers = (clock: Clock): (<K extends IdKind>(kind: K) => Id<K>) => {
  const generator = new V7Generator(pooledRandom());
  return (kind) => `${ID_PREFIXES[kind]}_${base32(generator.generateOrResetWithTs(clock()).bytes)}` as Id<typeof kind>;
};
