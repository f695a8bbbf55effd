import { createHmac, timingSafeEqual } from 'node:crypto';
import type { AuditHead, AuditVerdict, StoredAudit } from './reads.ts';

/** Before the first record. */
export const EMPTY_CHAIN: AuditHead = { n: 0, mac: '0'.repeat(64) };

/**
 * HMAC-SHA-256 over the previous record's `mac`, the number and the text exactly as it is stored. Neither of the first
 * two can hold a colon, so no other record has the same bytes.
 */
const macOf = (key: Uint8Array, previous: string, n: number, text: string | Uint8Array): string =>
  createHmac('sha256', key).update(`${previous}:${n}:`).update(text).digest('hex');

/** Numbers texts from the head of the chain on and chains them to it. */
export const chainAudit = (key: Uint8Array, head: AuditHead, texts: readonly string[]): StoredAudit[] => {
  let { n, mac } = head;
  return texts.map((text) => {
    n += 1;
    mac = macOf(key, mac, n, text);
    return { n, text, mac };
  });
};

/** A record as a verifier reads it: bytes are exact also where the text is not what was written. */
export interface AuditLink {
  readonly n: number;
  readonly mac: string;
  readonly text: string | Uint8Array;
}

/** Checks a chain that it is given from the first record on. */
export interface AuditVerifier {
  /** Takes the next record in order of `n`. */
  take(record: AuditLink): void;
  finish(): AuditVerdict;
}

/** `expected` is a head that was exported: the chain must hold it. */
export const createAuditVerifier = (key: Uint8Array, expected: AuditHead = EMPTY_CHAIN): AuditVerifier => {
  let records = 0;
  let head = EMPTY_CHAIN;
  let broken: number | null = null;
  let met = expected.n === 0 && sameText(expected.mac, EMPTY_CHAIN.mac);

  const follows = ({ n, mac, text }: AuditLink): boolean =>
    n === head.n + 1 && sameText(mac, macOf(key, head.mac, n, text));

  return {
    take: (record) => {
      records += 1;
      if (broken === null) {
        const isExpected = record.n === expected.n;
        met ||= isExpected && sameText(record.mac, expected.mac);
        // All before it are good, so the number after theirs is the one that is changed or missing.
        if (!follows(record) || (isExpected && !met)) broken = head.n + 1;
      }
      head = { n: record.n, mac: record.mac };
    },
    finish: () => {
      const verdict = { valid: broken === null && met, records, head: `${head.n}:${head.mac}` };
      const firstBad = broken ?? (expected.n > head.n ? head.n + 1 : null);
      return firstBad === null ? verdict : { ...verdict, firstBad };
    },
  };
};

/** In constant time for texts of one length. */
const sameText = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
};
