import type { SessionId } from '../machines/id.ts';

/** An actor as the journal holds it: what a read sees is never behind what a client has been told. */
export interface StoredActor {
  readonly key: string;
  readonly session: SessionId;
  readonly kind: string;
  readonly id: string;
  /** The machine's state value, as one word. */
  readonly state: string;
  /** Whether the machine has reached a final state. */
  readonly done: boolean;
  readonly context: Record<string, unknown>;
}

export interface EventPage {
  /** Each event as its JSON text, in `seq` order. */
  readonly events: readonly string[];
  /** The `seq` to ask after for the next page; null at the end. */
  readonly next: number | null;
  /** The first `seq` that is left; above `after + 1` the cursor has expired. */
  readonly first: number;
  /** The last `seq` given out in the session; 0 for none. */
  readonly last: number;
}

/** A record of the audit as it is stored. */
export interface StoredAudit {
  /** Dense from 1 over the whole journal. */
  readonly n: number;
  /** The entry as JSON (`AuditEntry`). */
  readonly text: string;
  /** What chains it to the record before, hexadecimal. */
  readonly mac: string;
}

/** Where the audit ends: its last record, or 0 and 64 zeros where there is none. */
export type AuditHead = Pick<StoredAudit, 'n' | 'mac'>;

export interface AuditPage {
  /** In order of `n`. */
  readonly items: readonly StoredAudit[];
  /** The `n` to ask after for the next page; null at the end. */
  readonly next: number | null;
}

export interface AuditVerdict {
  readonly valid: boolean;
  /** How many records there are, good and bad. */
  readonly records: number;
  /** The last record as `n:mac`; what to export, so that a tail that is cut later shows. */
  readonly head: string;
  /** The `n` of the first record that is left; absent where none was pruned. */
  readonly first?: number;
  /** The first `n` whose record was changed or is missing. */
  readonly firstBad?: number;
}

/** Reads of committed state (architecture, "Reads"). Pages are bounded; each rejects after its deadline. */
export interface Reads {
  actor(key: string): Promise<StoredActor | null>;
  /** Actors of one kind in a session in order of id, after `after`. */
  actors(session: SessionId, kind: string, page: { after?: string; limit: number }): Promise<readonly StoredActor[]>;
  /** The session in which an actor of this kind and id lives: ids are unique over the system. Null for none. */
  find(kind: string, id: string): Promise<StoredActor | null>;
  /** The actor that was the first to have this alias (`CatalogueEntry.aliases`). Null for none. */
  alias(alias: string): Promise<StoredActor | null>;
  /** Sessions by their label, which is the owner, in order of id. */
  labelled(kind: string, label: string, page: { after?: string; limit: number }): Promise<readonly StoredActor[]>;
  /** Up to 1,000 events and 1 MiB with `seq` above `after`, of `types` only where given. */
  events(session: SessionId, page: { after: number; limit: number; types?: readonly string[] }): Promise<EventPage>;
  /** Up to 1,000 records of the audit and 1 MiB with `n` above `after`. */
  auditRecords(page: { after: number; limit: number }): Promise<AuditPage>;
  /**
   * Checks the chain of the audit from its first record to the one that was the last when it began, in small chunks: it
   * takes as long as the audit is long and has no deadline. Once records were pruned it begins at their checkpoint. With
   * `head`, which was exported once, the chain must also hold that record, where it is not pruned.
   */
  verifyAudit(head?: AuditHead): Promise<AuditVerdict>;
}
