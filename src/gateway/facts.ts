import { LRUCache } from 'lru-cache';
import type { StoredActor } from '../../actors/reads.ts';
import type { System } from '../../actors/system.ts';
import { sessionAddress, addressKey } from '../../machines/address.ts';
import type { ClientContext } from '../../machines/client.ts';
import type { ClientId, ExecutionId, SessionId } from '../../machines/id.ts';
import type { SessionContext } from '../../machines/session-context.ts';

/** What does not change about a client while it is in its session. */
export type ClientFacts = Pick<
  ClientContext,
  'client_id' | 'session_id' | 'principal' | 'type' | 'token_hash' | 'capabilities'
>;

/** What does not change about a session. */
export type SessionFacts = Pick<SessionContext, 'session_id' | 'owner' | 'root_capability_id' | 'opened_at'>;

/**
 * Committed facts that every request needs, in bounded caches. A client that left is forgotten with the event or the cut
 * that says so, so that its token is dead for every later request.
 */
export interface Facts {
  /** A client that has not left; null for none. */
  client(id: ClientId): Promise<ClientFacts | null>;
  /** The same where it is at hand: for decisions that cannot wait. */
  knownClient(id: ClientId): ClientFacts | undefined;
  session(id: SessionId): Promise<SessionFacts | null>;
  /** Not cached: an execution changes all the time. */
  execution(id: ExecutionId): Promise<StoredActor | null>;
  /**
   * Keeps what was just committed without reading it back. `since` is the `generation` from before it was asked for: if
   * anything was forgotten since, it is not kept, for that might have been this.
   */
  keep(since: number, client: ClientFacts, session?: SessionFacts): void;
  generation(): number;
  close(): void;
}

export const createFacts = (system: System, size = 20_000): Facts => {
  const clients = new LRUCache<string, ClientFacts>({ max: size });
  const sessions = new LRUCache<string, SessionFacts>({ max: size });
  let generation = 0;

  const forgetClient = (id: string): void => {
    generation += 1;
    clients.delete(id);
  };
  const ends = [
    system.onEvent(({ type, subject }) => {
      if (type === 'client_left') forgetClient(subject);
    }),
    system.onCut(forgetClient),
  ];

  return {
    client: async (id) => {
      const known = clients.get(id);
      if (known !== undefined) return known;
      const since = generation;
      const stored = await system.reads.find('client', id);
      if (stored === null || stored.done) return null;
      const context = stored.context as unknown as ClientContext;
      const { client_id, session_id, principal, type, token_hash, capabilities } = context;
      const facts: ClientFacts = { client_id, session_id, principal, type, token_hash, capabilities };
      if (since === generation) clients.set(id, facts);
      return facts;
    },
    knownClient: (id) => clients.get(id),
    session: async (id) => {
      const known = sessions.get(id);
      if (known !== undefined) return known;
      const stored = await system.reads.actor(addressKey(sessionAddress(id)));
      if (stored === null) return null;
      const { session_id, owner, root_capability_id, opened_at } = stored.context as unknown as SessionContext;
      const facts: SessionFacts = { session_id, owner, root_capability_id, opened_at };
      sessions.set(id, facts);
      return facts;
    },
    execution: (id) => system.reads.find('execution', id),
    keep: (since, client, session) => {
      if (session !== undefined) sessions.set(session.session_id, session);
      if (since === generation) clients.set(client.client_id, client);
    },
    generation: () => generation,
    close: () => {
      for (const end of ends) end();
    },
  };
};
