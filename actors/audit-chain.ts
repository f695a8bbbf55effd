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

/** What stands for the records up to `n` once they are pruned: the chain goes on from it. */
export interface AuditCheckpoint extends AuditHead {
  /** Made with the key, so that nobody else can prune. */
  readonly seal: string;
}

/** No record begins with this word, so no record has the same bytes. */
const sealOf = (key: Uint8Array, { n, mac }: AuditHead): string =>
  createHmac('sha256', key).update(`checkpoint:${n}:${mac}`).digest('hex');

const isSealed = (key: Uint8Array, checkpoint: AuditCheckpoint): boolean =>
  checkpoint.n > 0 && sameText(checkpoint.seal, sealOf(key, checkpoint));

/**
 * The checkpoint that can take the place of the oldest `records`, those of `before` (ms since the epoch) or earlier; null
 * where none can go. What is not of the chain stays, with all behind it: it is evidence.
 */
export const checkpointFor = (
  key: Uint8Array,
  from: AuditCheckpoint | null,
  records: Iterable<StoredAudit>,
  before: number,
): AuditCheckpoint | null => {
  if (from !== null && !isSealed(key, from)) return null;
  let head: AuditHead = from ?? EMPTY_CHAIN;
  for (const record of records) {
    if (!follows(key, head, record) || !(timeOf(record.text) <= before)) break;
    head = { n: record.n, mac: record.mac };
  }
  return head.n === (from?.n ?? 0) ? null : { n: head.n, mac: head.mac, seal: sealOf(key, head) };
};

/** NaN where it says none. */
const timeOf = (text: string): number => {
  try {
    return Number((JSON.parse(text) as { at?: unknown } | null)?.at);
  } catch {
    return Number.NaN;
  }
};

const follows = (key: Uint8Array, head: AuditHead, { n, mac, text }: AuditLink): boolean =>
  n === head.n + 1 && sameText(mac, macOf(key, head.mac, n, text));

/** A record as a verifier reads it: bytes are exact also where the text is not what was written. */
export interface AuditLink {
  readonly n: number;
  readonly mac: string;
  readonly text: string | Uint8Array;
}

/** Checks a chain that it is given from the first record on. */
export interface AuditVerifier {
  /**
   * Takes the checkpoint, null for none; before the first record, and again before those that were read later, since
   * pruning may have gone beyond what was taken.
   */
  begin(checkpoint: AuditCheckpoint | null): void;
  /** Takes the next record in order of `n`. */
  take(record: AuditLink): void;
  finish(): AuditVerdict;
}

/** `expected` is a head that was exported: the chain must hold it. */
export const createAuditVerifier = (key: Uint8Array, expected: AuditHead = EMPTY_CHAIN): AuditVerifier => {
  let records = 0;
  let pruned = 0;
  let head = EMPTY_CHAIN;
  let broken: number | null = null;
  let met = expected.n === 0 && sameText(expected.mac, EMPTY_CHAIN.mac);

  return {
    begin: (checkpoint) => {
      if (checkpoint === null || broken !== null) return;
      if (!isSealed(key, checkpoint)) broken = head.n + 1;
      else if (checkpoint.n > head.n) {
        // A head from before can no longer be compared; that the chain has come so far, the seal says.
        const isExpected = checkpoint.n === expected.n;
        met ||= expected.n > head.n && expected.n < checkpoint.n;
        met ||= isExpected && sameText(checkpoint.mac, expected.mac);
        if (isExpected && !met) broken = checkpoint.n;
        head = { n: checkpoint.n, mac: checkpoint.mac };
        pruned = checkpoint.n;
      }
    },
    take: (record) => {
      records += 1;
      if (broken === null) {
        const isExpected = record.n === expected.n;
        met ||= isExpected && sameText(record.mac, expected.mac);
        // All before it are good, so the number after theirs is the one that is changed or missing.
        if (!follows(key, head, record) || (isExpected && !met)) broken = head.n + 1;
      }
      head = { n: record.n, mac: record.mac };
    },
    finish: () => {
      const verdict = {
        valid: broken === null && met,
        records,
        head: `${head.n}:${head.mac}`,
        ...(pruned === 0 ? {} : { first: pruned + 1 }),
      };
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
