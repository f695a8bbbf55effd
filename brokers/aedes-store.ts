import { Readable } from 'node:stream';
import type { BrokerLimits } from './limits.ts';
import { createRetained } from './retained.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { failed, settled } from './settled.ts';
import type { BrokerStore, StoreClient, StoredPacket, StoredSubscription } from './store.ts';

export interface StoreHooks {
  /** Whether a subscription of the packet just being handled was granted. */
  readonly granted: (subscription: StoredSubscription) => boolean;
  /** Something was dropped for want of room. */
  readonly onFull: (what: string) => void;
  /** A message of a resumed session is about to be sent; gives its identifier, a new one where it had none. */
  readonly identify: (client: StoreClient, id: number | undefined) => number;
}

export interface MemoryStore extends BrokerStore {
  readonly sessions: Sessions;
}

const DONE = settled<void>(undefined);
const NOTHING = Buffer.alloc(0);

/** The broker's store in memory: bounded, and answering at once, so that no publication waits for it. */
export const createMemoryStore = (limits: BrokerLimits, hooks: StoreHooks): MemoryStore => {
  const sessions = createSessions(limits.maxSessions, limits.maxQueued);
  const retained = createRetained(limits.maxRetained);
  /** Client id → packet identifier → a message of QoS 2 that awaits its PUBREL. */
  const incoming = new Map<string, Map<number, StoredPacket>>();

  const enqueue = (clientId: string, packet: StoredPacket, qos: 0 | 1 | 2): void => {
    const copy = {
      ...packet,
      qos: Math.min(packet.qos, qos) as 0 | 1 | 2,
      retain: false,
      dup: false,
      messageId: undefined,
    };
    if (!sessions.enqueue(clientId, copy)) hooks.onFull(`the queue of ${clientId}`);
  };

  function* resend(client: StoreClient): Generator<StoredPacket> {
    for (const packet of sessions.outgoing(client.id)) {
      const messageId = hooks.identify(client, packet.messageId);
      // What was sent before is marked as sent again, under the identifier it had [MQTT-3.3.1-1], [MQTT-4.4.0-1].
      yield { ...packet, messageId, dup: packet.cmd === 'publish' && packet.messageId !== undefined };
    }
  }

  return {
    sessions,
    setup: async () => {},
    storeRetained: (packet) => {
      if (!retained.keep(packet)) hooks.onFull('the retained messages');
      return DONE;
    },
    createRetainedStreamCombi: (filters) => Readable.from(retained.matching(filters)),
    // Aedes hands over all filters of a packet for each one that is granted.
    addSubscriptions: (client, subscriptions) => {
      for (const subscription of subscriptions)
        if (hooks.granted(subscription)) sessions.subscribe(client.id, subscription);
      return DONE;
    },
    removeSubscriptions: (client, filters) => {
      for (const filter of filters) sessions.unsubscribe(client.id, filter);
      return DONE;
    },
    subscriptionsByClient: (client) => settled(sessions.subscriptions(client.id)),
    subscriptionsByTopic: (topic) => settled(sessions.receivers(topic)),
    cleanSubscriptions: (client) => {
      sessions.forget(client.id);
      return DONE;
    },
    outgoingEnqueue: ({ clientId }, packet) => {
      enqueue(clientId, packet, packet.qos);
      return DONE;
    },
    outgoingEnqueueCombi: (subscriptions, packet) => {
      for (const { clientId, qos } of subscriptions) enqueue(clientId, packet, qos);
      return DONE;
    },
    outgoingUpdate: (client, packet) => {
      sessions.update(client.id, packet);
      return DONE;
    },
    outgoingClearMessageId: (client, packet) => settled(sessions.settle(client.id, packet)),
    outgoingStream: (client) => Readable.from(resend(client)),
    incomingStorePacket: (client, packet) => {
      const known = incoming.get(client.id) ?? new Map<number, StoredPacket>();
      // Only that it has been seen matters; its payload has been published already.
      incoming.set(client.id, known.set(packet.messageId ?? 0, { ...packet, payload: NOTHING }));
      return DONE;
    },
    incomingGetPacket: (client, packet) => {
      const known = incoming.get(client.id)?.get(packet.messageId ?? 0);
      return known === undefined ? failed(new Error('no such packet')) : settled(known);
    },
    incomingDelPacket: (client, packet) => {
      incoming.get(client.id)?.delete(packet.messageId ?? 0);
      return DONE;
    },
    cleanIncoming: (client) => {
      incoming.delete(client.id);
      return DONE;
    },
    // A will that is due is held by its connection; this store would not outlive the broker either.
    putWill: async () => {},
    delWill: async () => {},
    streamWill: () => Readable.from([]),
  };
};
