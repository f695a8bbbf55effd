import { createRouter } from './router.ts';
import type { ClientSubscription, StoredPacket, StoredSubscription } from './store.ts';

/**
 * Sessions that outlive their connection (MQTT 3.1.1, 3.1.2.4): subscriptions, and the messages of QoS 1 and 2 that
 * are sent and not acknowledged or still to be sent.
 */
export interface Sessions {
  subscribe(clientId: string, subscription: StoredSubscription): void;
  unsubscribe(clientId: string, filter: string): void;
  subscriptions(clientId: string): StoredSubscription[];
  /** Each session that gets a publication on this topic, once, with the highest QoS it asked for [MQTT-3.3.5-1]. */
  receivers(topic: string): readonly ClientSubscription[];
  /** Begins a session; true where there was one to resume. */
  open(clientId: string): boolean;
  forget(clientId: string): void;
  /** False where the session has no room left. */
  enqueue(clientId: string, packet: StoredPacket): boolean;
  /** Notes the identifier under which a message is sent, or that it is released by PUBREL. */
  update(clientId: string, packet: StoredPacket): void;
  /** Takes out what this packet acknowledges, or this very publication. */
  settle(clientId: string, packet: StoredPacket): StoredPacket | undefined;
  /** What is to be sent, in order; includes what is added while it is read. */
  outgoing(clientId: string): Iterable<StoredPacket>;
}

interface Session {
  readonly subscriptions: Map<string, ClientSubscription>;
  /** In order of `n`. */
  readonly queue: Queued[];
  last: number;
}

interface Queued {
  readonly n: number;
  packet: StoredPacket;
}

/** A publication is known by the broker's counter until it has an identifier; an acknowledgement has only that. */
const place = (queue: readonly Queued[], packet: StoredPacket): number => {
  const { brokerCounter, brokerId, messageId } = packet;
  const same =
    brokerCounter === undefined
      ? -1
      : queue.findLastIndex(({ packet: p }) => p.brokerCounter === brokerCounter && p.brokerId === brokerId);
  if (same !== -1 || messageId === undefined) return same;
  return queue.findIndex((queued) => queued.packet.messageId === messageId);
};

/** The queue's entries in order while it changes: entries leave anywhere and are added at the end. */
function* following(queue: readonly Queued[]): Generator<StoredPacket> {
  let index = 0;
  let last = 0;
  for (;;) {
    while (index > 0 && (queue[index - 1]?.n ?? Number.POSITIVE_INFINITY) > last) index--;
    const entry = queue[index];
    if (entry === undefined) return;
    index++;
    if (entry.n <= last) continue;
    last = entry.n;
    yield entry.packet;
  }
}

export const createSessions = (maxSessions: number, maxQueued: number): Sessions => {
  const sessions = new Map<string, Session>();
  const router = createRouter<ClientSubscription>();

  const opened = (clientId: string): Session => {
    const known = sessions.get(clientId);
    if (known !== undefined) return known;
    const oldest = sessions.size >= maxSessions ? sessions.keys().next().value : undefined;
    if (oldest !== undefined) forget(oldest);
    const session: Session = { subscriptions: new Map(), queue: [], last: 0 };
    sessions.set(clientId, session);
    return session;
  };

  const unsubscribe = (clientId: string, filter: string): void => {
    const subscription = sessions.get(clientId)?.subscriptions.get(filter);
    if (subscription === undefined) return;
    router.remove(filter, subscription);
    sessions.get(clientId)?.subscriptions.delete(filter);
  };

  const forget = (clientId: string): void => {
    for (const filter of sessions.get(clientId)?.subscriptions.keys() ?? []) unsubscribe(clientId, filter);
    sessions.delete(clientId);
  };

  return {
    subscribe: (clientId, { topic, qos }) => {
      unsubscribe(clientId, topic);
      const subscription: ClientSubscription = { clientId, topic, qos };
      opened(clientId).subscriptions.set(topic, subscription);
      router.add(topic, subscription);
    },
    unsubscribe,
    subscriptions: (clientId) =>
      [...(sessions.get(clientId)?.subscriptions.values() ?? [])].map(({ topic, qos }) => ({ topic, qos })),
    receivers: (topic) => {
      const found = router.match(topic);
      if (found.length === 0) return found;
      const best = new Map<string, ClientSubscription>();
      for (const subscription of found)
        if (subscription.qos > (best.get(subscription.clientId)?.qos ?? 0))
          best.set(subscription.clientId, subscription);
      return [...best.values()];
    },
    open: (clientId) => {
      const known = sessions.get(clientId);
      if (known === undefined) {
        opened(clientId);
        return false;
      }
      // The one used last is forgotten last.
      sessions.delete(clientId);
      sessions.set(clientId, known);
      return true;
    },
    forget,
    enqueue: (clientId, packet) => {
      const session = opened(clientId);
      if (session.queue.length >= maxQueued) return false;
      session.queue.push({ n: ++session.last, packet });
      return true;
    },
    update: (clientId, packet) => {
      const queue = sessions.get(clientId)?.queue ?? [];
      const queued = queue[place(queue, packet)];
      // A PUBREL takes the message's place: from there on only the release is repeated [MQTT-4.3.3-1].
      if (queued !== undefined)
        queued.packet = packet.cmd === 'pubrel' ? packet : { ...queued.packet, messageId: packet.messageId };
    },
    settle: (clientId, packet) => {
      const queue = sessions.get(clientId)?.queue ?? [];
      const index = place(queue, packet);
      return index === -1 ? undefined : queue.splice(index, 1)[0]?.packet;
    },
    outgoing: (clientId) => following(sessions.get(clientId)?.queue ?? []),
  };
};
