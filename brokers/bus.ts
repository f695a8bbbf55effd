/**
 * The Bus port: the only door to messaging. Topics and filters are MQTT 3.1.1 ones. One contract suite
 * (`test/contract/bus.ts`) runs on every adapter.
 */
export interface Bus {
  /**
   * Publishes. Resolves when the bus has taken the message, which says nothing of receivers. Publications of one bus
   * reach every subscriber in the order of the calls, whatever their QoS. Rejects with `BusClosedError` after close,
   * with a `RangeError` for an invalid topic.
   */
  publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void>;
  /**
   * Subscribes inside the process. Listeners are called in order and must not throw; one that does is reported to
   * `onError` and goes on. Returns the way to end it, after which no further call is made.
   */
  subscribe(filter: string, listener: BusListener): () => void;
  /** Whether anybody outside or inside would receive a message on this topic now. Cheap; a hint, not a promise. */
  watched(topic: string): boolean;
  /** Ends every subscription and connection; idempotent. */
  close(): Promise<void>;
}

export interface PublishOptions {
  /** 0 or 1; default 0. */
  readonly qos?: 0 | 1;
}

export type BusListener = (topic: string, payload: Uint8Array) => void;

/** Options that every adapter takes. */
export interface BusOptions {
  /** Hears of a listener that threw. */
  readonly onError?: (error: unknown) => void;
}

export class BusClosedError extends Error {
  readonly code = 'ERR_BUS_CLOSED';
  constructor() {
    super('the bus is closed');
    this.name = 'BusClosedError';
  }
}

/** So many publications wait for those before them that no more are taken. */
export class BusFullError extends Error {
  readonly code = 'ERR_BUS_FULL';
  constructor() {
    super('too many publications wait on the bus');
    this.name = 'BusFullError';
  }
}
