import { LRUCache } from 'lru-cache';
import type { StoredActor } from '../../actors/reads.ts';
import type { System } from '../../actors/system.ts';
import { sessionAddress, addressKey } from '../../machines/address.ts';
import type { ClientContext } from '../../machines/client.ts';
import type { ClientId, ExecutionId, SessionId } from '../../machines/id.ts';
import type { SessionContext } from '../../machines/session-context.ts';

/** What is known of a client while it is in its session: its capabilities may become fewer. */
export type ClientFacts = Pick<
  ClientContext,
  'client_id' | 'session_id' | 'principal' | 'type' | 'token_hash' | 'capabilities'
>;

/** What does not change about a session. */
export type SessionFacts = Pick<SessionContext, 'session_id' | 'owner' | 'root_capability_id' | 'opened_at'>;

/**
 * Committed facts that every request needs, in bounded caches. A client that left is forgotten with the event or the cut
 * that says so, so that its token is dead for every later request; what is revoked is taken from it in the same way.
 */
export interface Facts {
  /** A client that has not left; null for none. */
  client(id: ClientId): Promise<ClientFacts | null>;
  /** The same where it is at hand: for decisions that cannot wait. */
  knownClient(id: ClientId): ClientFacts | undefined;
  /** Read anew where it has ended: retention may remove it. */
  session(id: SessionId): Promise<SessionFacts | null>;
  /** Not cached: an execution changes all the time. */
  execution(id: ExecutionId): Promise<StoredActor | null>;
  /**
   * Keeps what was just committed without reading it back. `since` is the `generation` from before it was asked for: if
   * anything was forgotten since, it is not kept, for that might have been this.
   */
  keep(since: number, client: ClientFacts, session?: SessionFacts): void;
  generation(): number;
  /**
   * Set where the right of this client to hear of its session was lately taken from it: what was committed before is no
   * longer for it either, but for the words that say so.
   */
  barred(id: string): Barred | undefined;
  close(): void;
}

/** What a client that is barred still hears: these events and no others, whenever they were committed. */
export interface Barred {
  readonly seqs: ReadonlySet<number>;
  /** The same as `type/subject`, as in topics. */
  readonly words: ReadonlySet<string>;
}

/** What the event says of whom it touches. */
interface Revocation {
  readonly revoked: readonly string[];
  /** Who held one of them, and who of them has to go for it. */
  readonly clients: readonly string[];
  readonly cut: readonly string[];
}

/** Events with which a session may have ended. */
const SESSION_ENDS: ReadonlySet<string> = new Set(['session_closed', 'session_expired', 'actor_failed']);

/** Clients that are remembered as barred, far longer than their connections last. */
const REMEMBERED = 10_000;

export const createFacts = (system: System, size = 20_000): Facts => {
  const clients = new LRUCache<string, ClientFacts>({ max: size });
  const sessions = new LRUCache<string, SessionFacts>({ max: size });
  const barred = new LRUCache<string, Barred>({ max: REMEMBERED });
  let generation = 0;

  const forgetClient = (id: string): void => {
    generation += 1;
    clients.delete(id);
  };
  const forgetSession = (id: string): void => {
    generation += 1;
    sessions.delete(id);
  };
  /** At once, not when the client's own actor is read again: deliveries are decided by what is at hand. */
  const narrow = ({ revoked, clients: touched }: Revocation): void => {
    generation += 1;
    for (const id of touched) {
      const known = clients.get(id);
      if (known === undefined) continue;
      clients.set(id, { ...known, capabilities: known.capabilities.filter((each) => !revoked.includes(each.id)) });
    }
  };
  const bar = (id: string, seq: number, word: string): void => {
    const known = barred.get(id);
    barred.set(id, {
      seqs: new Set([...(known?.seqs ?? []), seq]),
      words: new Set([...(known?.words ?? []), word]),
    });
  };
  const ends = [
    system.onEvent(({ type, session, subject, seq, json }) => {
      if (SESSION_ENDS.has(type)) forgetSession(session);
      if (type === 'capability_revoked') {
        const { data } = JSON.parse(json) as { data: Revocation };
        for (const id of data.cut) bar(id, seq, `${type}/${subject}`);
        narrow(data);
      } else if (type === 'client_left') {
        bar(subject, seq, `${type}/${subject}`);
        forgetClient(subject);
      }
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
      const since = generation;
      const stored = await system.reads.actor(addressKey(sessionAddress(id)));
      if (stored === null) return null;
      const { session_id, owner, root_capability_id, opened_at } = stored.context as unknown as SessionContext;
      const facts: SessionFacts = { session_id, owner, root_capability_id, opened_at };
      if (!stored.done && since === generation) sessions.set(id, facts);
      return facts;
    },
    execution: (id) => system.reads.find('execution', id),
    keep: (since, client, session) => {
      if (session !== undefined) sessions.set(session.session_id, session);
      if (since === generation) clients.set(client.client_id, client);
    },
    generation: () => generation,
    barred: (id) => barred.get(id),
    close: () => {
      for (const end of ends) end();
    },
  };
};
