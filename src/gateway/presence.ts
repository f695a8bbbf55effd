import type { System } from '../../actors/system.ts';
import { clientAddress } from '../../machines/address.ts';
import type { ClientId, SessionId } from '../../machines/id.ts';

/**
 * Who is there (contract, section 5): a client is attached while it has a connection (MQTT, SSE, a long-poll) or made a
 * request within the grace time. The client's actor is told of changes only.
 */
export interface Presence {
  /** A request. */
  touch(client: PresentClient): void;
  /** A connection; the function ends it, once. */
  connect(client: PresentClient): () => void;
  /** Forgets a client that has left. */
  forget(client: ClientId): void;
  /** Detaches who has been gone for the grace time; for the timer. */
  sweep(): void;
  /** Clients with a connection or a recent request. */
  count(): number;
  close(): void;
}

export interface PresentClient {
  readonly client_id: ClientId;
  readonly session_id: SessionId;
}

export interface PresenceOptions {
  readonly system: Pick<System, 'tell' | 'now'>;
  /** Milliseconds; default 60,000. */
  readonly graceMs: number;
  /** Who was attached when the last process ended: they have the grace time to come back. Default nobody. */
  readonly presumed?: readonly PresentClient[];
  /** Calls `sweep` every `ms`; returns the way to end it. Default `setInterval`. */
  readonly every?: (task: () => void, ms: number) => () => void;
}

interface Entry {
  readonly session: SessionId;
  connections: number;
  /** When it was last seen, by the system's clock. */
  seenAt: number;
  /** What its actor was told; false also where the telling failed. */
  told: boolean;
}

const interval = (task: () => void, ms: number): (() => void) => {
  const timer = setInterval(task, ms);
  timer.unref();
  return () => clearInterval(timer);
};

export const createPresence = ({ system, graceMs, presumed = [], every = interval }: PresenceOptions): Presence => {
  const entries = new Map<ClientId, Entry>(
    presumed.map(({ client_id, session_id }) => [
      client_id,
      { session: session_id, connections: 0, seenAt: system.now(), told: true },
    ]),
  );

  const tell = (id: ClientId, { session }: Entry, type: 'client.attach' | 'client.detach'): boolean =>
    system.tell({ to: clientAddress(session, id), message: { type } });

  const seen = ({ client_id, session_id }: PresentClient): Entry => {
    let entry = entries.get(client_id);
    if (entry === undefined) {
      entry = { session: session_id, connections: 0, seenAt: 0, told: false };
      entries.set(client_id, entry);
    }
    entry.seenAt = system.now();
    // A full inbox is tried again with the next request or sweep.
    if (!entry.told) entry.told = tell(client_id, entry, 'client.attach');
    return entry;
  };

  const sweep = (): void => {
    const gone = system.now() - graceMs;
    for (const [id, entry] of entries) {
      if (entry.connections === 0 && entry.seenAt <= gone) {
        if (!entry.told || tell(id, entry, 'client.detach')) entries.delete(id);
      } else if (!entry.told) entry.told = tell(id, entry, 'client.attach');
    }
  };
  const end = every(sweep, Math.max(50, Math.min(1_000, graceMs / 4)));

  return {
    touch: (client) => void seen(client),
    connect: (client) => {
      const entry = seen(client);
      entry.connections += 1;
      let open = true;
      return () => {
        if (!open) return;
        open = false;
        entry.connections -= 1;
        entry.seenAt = system.now();
      };
    },
    forget: (client) => void entries.delete(client),
    sweep,
    count: () => entries.size,
    close: end,
  };
};
