import type { AuditEntry, AuditType } from '../../machines/audit.ts';
import { createMerger } from './merge.ts';

/** Where the gateway records what it decides by itself; what actors decide is recorded with their turns. */
export interface Audit {
  /** Durable when it resolves. */
  note(entry: AuditEntry): Promise<void>;
  /** Counted with others of the same type and key, and recorded as one with them, with their `count`. */
  merge(entry: AuditEntry, key: string): void;
  /** Records what is still counted. Resolves when all of it is durable, or has failed. */
  close(): Promise<void>;
}

export interface AuditOptions {
  /** Makes entries durable, in order. */
  readonly note: (entries: readonly AuditEntry[]) => Promise<void>;
  /** What could not be recorded. */
  readonly onError: (error: unknown) => void;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/** Refusals within a session are merged by the second, those without a caller in sight by the minute (contract, section 6). */
const windowOf = (type: AuditType): number => (type === 'login_failed' || type === 'not_found' ? MINUTE_MS : SECOND_MS);

export const createAudit = ({ note, onError }: AuditOptions): Audit => {
  const pending = new Set<Promise<void>>();
  const tell = (entry: AuditEntry, count: number): void => {
    const noted = note([{ ...entry, data: { ...entry.data, count } }]).catch(onError);
    pending.add(noted);
    void noted.finally(() => pending.delete(noted));
  };
  const mergers = new Map(
    [SECOND_MS, MINUTE_MS].map((windowMs) => [windowMs, createMerger<AuditEntry>({ windowMs, tell })] as const),
  );
  return {
    note: (entry) => note([entry]),
    merge: (entry, key) => mergers.get(windowOf(entry.type))?.add(`${entry.type} ${key}`, entry),
    close: async () => {
      for (const merger of mergers.values()) merger.close();
      await Promise.all(pending);
    },
  };
};

/** Records nothing. */
export const NO_AUDIT: Audit = { note: async () => {}, merge: () => {}, close: async () => {} };
