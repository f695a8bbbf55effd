import type { ReleasedEvent } from '../../actors/system.ts';
import type { InitialPublication } from '../../brokers/access.ts';
import type { SessionId } from '../../machines/id.ts';
import { canTopic, stateTopic } from '../../machines/topic.ts';
import type { SessionState } from '../operations/sessions.ts';
import { canView } from './can.ts';
import type { GatewayContext } from './context.ts';
import type { ClientIdentity } from './principals.ts';
import { sessionState } from './session-handlers.ts';

/**
 * The topics `state` and `can` (contract, section 3): nobody stores them. Who subscribes is told the present value;
 * changes follow, computed from committed state, at most ten times a second and only while somebody subscribes.
 */
export interface LiveTopics {
  /** The value of `topic` for a client that has just subscribed to it; empty for every other topic. */
  initial(identity: ClientIdentity, topic: string): Promise<readonly InitialPublication[]>;
  take(event: ReleasedEvent): void;
  close(): void;
}

const INTERVAL_MS = 100;
/** Sessions that are watched, or were and have been quiet since, before those that were are forgotten. */
const SWEEP_AT = 1_000;
/** Longer than a subscription is on its way. */
const QUIET_MS = 60_000;

/** Events that change neither: they only move `seq`, which everybody hears from the events themselves. */
const QUIET: ReadonlySet<string> = new Set(['execution_output']);

interface Watched {
  readonly session: SessionId;
  /** Subscribers of `can`, by topic. */
  readonly can: Map<string, ClientIdentity>;
  timer: NodeJS.Timeout | null;
  dirty: boolean;
  /** When somebody last began to watch, by the system's clock. */
  begunAt: number;
}

export const createLiveTopics = (context: GatewayContext, onError: (error: unknown) => void): LiveTopics => {
  const { system, facts } = context;
  const { bus } = system;
  const watched = new Map<SessionId, Watched>();
  let sweepAt = SWEEP_AT;

  const isIdle = ({ session, can, timer, begunAt }: Watched): boolean =>
    timer === null &&
    begunAt < system.now() - QUIET_MS &&
    !bus.watched(stateTopic(session)) &&
    ![...can.keys()].some((topic) => bus.watched(topic));

  /** Nobody says that a subscription has ended; a session that is quiet would be remembered for ever. */
  const sweep = (): void => {
    for (const [session, entry] of watched) if (isIdle(entry)) watched.delete(session);
    sweepAt = Math.max(SWEEP_AT, 2 * watched.size);
  };

  const watch = (session: SessionId): Watched => {
    let entry = watched.get(session);
    if (entry === undefined) {
      entry = { session, can: new Map(), timer: null, dirty: false, begunAt: 0 };
      if (watched.size >= sweepAt) sweep();
      watched.set(session, entry);
    }
    entry.begunAt = system.now();
    return entry;
  };

  /** Null for who has left. */
  const canOf = async (
    { client: { client_id, session_id } }: ClientIdentity,
    state: SessionState,
  ): Promise<string | null> => {
    const [session, client] = await Promise.all([facts.session(session_id), facts.client(client_id)]);
    if (session === null || client === null) return null;
    return JSON.stringify(canView(context, { kind: 'client', principal: client.principal, client }, session, state));
  };

  /** Publishes what is subscribed to; forgets the session when nothing is. */
  const tell = async (entry: Watched): Promise<void> => {
    const topic = stateTopic(entry.session);
    const isWatched = bus.watched(topic);
    for (const each of entry.can.keys()) if (!bus.watched(each)) entry.can.delete(each);
    if (!isWatched && entry.can.size === 0) {
      watched.delete(entry.session);
      return;
    }
    const state = await sessionState(context, entry.session);
    if (state === null) return;
    if (isWatched) await bus.publish(topic, JSON.stringify(state));
    for (const [each, identity] of entry.can) {
      const can = await canOf(identity, state);
      if (can === null) entry.can.delete(each);
      else await bus.publish(each, can);
    }
  };

  const again = (entry: Watched): void => {
    entry.timer = null;
    if (entry.dirty) run(entry);
  };
  const run = (entry: Watched): void => {
    entry.dirty = false;
    // The next begins no sooner than this one has ended, and an interval after it began.
    const ended = tell(entry).catch(onError);
    entry.timer = setTimeout(() => {
      void ended.then(() => again(entry));
    }, INTERVAL_MS);
    entry.timer.unref();
  };

  return {
    initial: async (identity, topic) => {
      const { session_id, client_id } = identity.client;
      const isState = topic === stateTopic(session_id);
      if (!isState && topic !== canTopic(session_id, client_id)) return [];
      const entry = watch(session_id);
      if (!isState) entry.can.set(topic, identity);
      const state = await sessionState(context, session_id);
      if (state === null) return [];
      const payload = isState ? JSON.stringify(state) : await canOf(identity, state);
      return payload === null ? [] : [{ topic, payload, qos: 1 }];
    },
    take: ({ session, type }) => {
      const entry = watched.get(session as SessionId);
      if (entry === undefined || QUIET.has(type)) return;
      entry.dirty = true;
      if (entry.timer === null) run(entry);
    },
    close: () => {
      for (const { timer } of watched.values()) if (timer !== null) clearTimeout(timer);
      watched.clear();
    },
  };
};
