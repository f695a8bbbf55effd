import type { Bus } from '../brokers/bus.ts';
import type { Answer } from '../machines/effect.ts';
import type { ClientId, IdKind, Id, SessionId } from '../machines/id.ts';
import type { Envelope } from '../machines/message.ts';
import type { Agents } from './agents.ts';
import type { Reads } from './reads.ts';

/** One committed event, on its way out. `json` is the event of the contract's section 4 as text. */
export interface ReleasedEvent {
  readonly session: string;
  readonly seq: number;
  readonly type: string;
  readonly subject: string;
  readonly json: string;
}

export interface PresumedClient {
  readonly session_id: SessionId;
  readonly client_id: ClientId;
}

export type Readiness =
  | { readonly ready: true }
  | {
      readonly ready: false;
      readonly state: 'starting' | 'draining' | 'read_only' | 'rebuilding';
      readonly detail: string;
    };

/** The running ring, as the gateway sees it. */
export interface System {
  readonly bus: Bus;
  readonly reads: Reads;
  readonly agents: Agents;
  /** Draws an id: sortable by time, unique. */
  newId<K extends IdKind>(kind: K): Id<K>;
  /** Milliseconds since the epoch by the system's clock (monotonic while it runs). */
  now(): number;
  /**
   * Sends to an actor and waits for the answer, which arrives after the commit. Never rejects and never hangs: at the
   * deadline (default 10,000 ms) the answer is the problem `timed_out`, with a full inbox `overloaded`, with a failed
   * store `read_only`.
   */
  ask(envelope: Envelope, deadlineMs?: number): Promise<Answer>;
  /** Sends to an actor; false when its shard's inbox is full. */
  tell(envelope: Envelope): boolean;
  /** Calls for each committed event, in order per session. Returns the way to end it. */
  onEvent(listener: (event: ReleasedEvent) => void): () => void;
  /** Calls when a client's right to be connected has ended, after its last event was published. */
  onCut(listener: (client: string) => void): () => void;
  /**
   * Clients that were attached when the last process ended, as the shards found them at the start: whether they come
   * back is for the gateway to see. Handed over once.
   */
  presumedAttached(): readonly PresumedClient[];
  readiness(): Readiness;
  /** Drains within `graceMs` and ends every thread; idempotent. */
  close(graceMs?: number): Promise<void>;
}
