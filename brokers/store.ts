import type { Readable } from 'node:stream';

/** A packet as Aedes hands it to its store. */
export interface StoredPacket {
  readonly cmd: 'publish' | 'pubrel';
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup?: boolean;
  readonly brokerId?: string | null;
  readonly brokerCounter?: number;
  readonly messageId?: number | undefined;
}

export interface StoredSubscription {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

/** A subscription of a client, as a match of a topic. */
export interface ClientSubscription extends StoredSubscription {
  readonly clientId: string;
}

/** What of an Aedes client the store looks at. */
export interface StoreClient {
  readonly id: string;
}

/**
 * What Aedes asks of its `persistence` option. Answers may come at once (`settled`), but `setup` and `delWill` must be
 * true promises.
 */
export interface BrokerStore {
  setup(broker: unknown): Promise<void>;
  storeRetained(packet: StoredPacket): PromiseLike<void>;
  createRetainedStreamCombi(filters: readonly string[]): Readable;
  addSubscriptions(client: StoreClient, subscriptions: readonly StoredSubscription[]): PromiseLike<void>;
  removeSubscriptions(client: StoreClient, filters: readonly string[]): PromiseLike<void>;
  subscriptionsByClient(client: StoreClient): PromiseLike<StoredSubscription[]>;
  subscriptionsByTopic(topic: string): PromiseLike<readonly ClientSubscription[]>;
  cleanSubscriptions(client: StoreClient): PromiseLike<void>;
  outgoingEnqueue(client: { readonly clientId: string }, packet: StoredPacket): PromiseLike<void>;
  outgoingEnqueueCombi(subscriptions: readonly ClientSubscription[], packet: StoredPacket): PromiseLike<void>;
  outgoingUpdate(client: StoreClient, packet: StoredPacket): PromiseLike<void>;
  outgoingClearMessageId(client: StoreClient, packet: StoredPacket): PromiseLike<StoredPacket | undefined>;
  outgoingStream(client: StoreClient): Readable;
  incomingStorePacket(client: StoreClient, packet: StoredPacket): PromiseLike<void>;
  incomingGetPacket(client: StoreClient, packet: StoredPacket): PromiseLike<StoredPacket>;
  incomingDelPacket(client: StoreClient, packet: StoredPacket): PromiseLike<void>;
  cleanIncoming(client: StoreClient): PromiseLike<void>;
  putWill(client: StoreClient, packet: unknown): PromiseLike<void>;
  delWill(client: StoreClient): Promise<void>;
  streamWill(): Readable;
}
