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

/** Reads of committed state (architecture, "Reads"). Pages are bounded; each rejects after its deadline. */
export interface Reads {
  actor(key: string): Promise<StoredActor | null>;
  /** Actors of one kind in a session in order of id, after `after`. */
  actors(session: SessionId, kind: string, page: { after?: string; limit: number }): Promise<readonly StoredActor[]>;
  /** The session in which an actor of this kind and id lives: ids are unique over the system. Null for none. */
  find(kind: string, id: string): Promise<StoredActor | null>;
  /** Sessions by their label, which is the owner, in order of id. */
  labelled(kind: string, label: string, page: { after?: string; limit: number }): Promise<readonly StoredActor[]>;
  /** Up to 1,000 events and 1 MiB with `seq` above `after`, of `types` only where given. */
  events(session: SessionId, page: { after: number; limit: number; types?: readonly string[] }): Promise<EventPage>;
}
