import type { Duplex } from 'node:stream';

/**
 * What we touch of Aedes 1.2.0 beyond its published types: the one place that a new version of it must be held
 * against. `deliver0` and `deliverQoS` are properties of each client which every subscription picks up when it is made.
 */
export interface AedesClient {
  readonly id: string;
  readonly clean: boolean;
  readonly closed: boolean;
  readonly conn: Duplex;
  readonly subscriptions: Record<string, { qos: 0 | 1 | 2 } | undefined>;
  deliver0: Deliver;
  deliverQoS: Deliver;
  waitForDrain: (callback: DrainCallback) => void;
  close(done?: () => void): void;
}

export type DrainCallback = (error: Error | null, client: AedesClient) => void;

/** A publication on its way to one client: a copy of its own, so it may be changed. */
export interface DeliveredPacket {
  readonly cmd: 'publish';
  readonly topic: string;
  readonly payload: Buffer;
  readonly retain: boolean;
  readonly brokerId?: string | null;
  readonly brokerCounter?: number;
  dup?: boolean;
  qos: 0 | 1 | 2;
  messageId?: number | undefined;
}

export type Deliver = (packet: DeliveredPacket, done: () => void) => void;

/** A publication as it enters the broker. */
export interface PublishedPacket {
  readonly cmd: 'publish';
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
}

export type Publish = (
  packet: PublishedPacket,
  client: AedesClient | null,
  done: (error?: Error | null) => void,
) => void;
