/** Bounds of the embedded broker. What passes one ends its connection, never the broker. */
export interface BrokerLimits {
  /** Largest packet in bytes, header included; default 1 MiB. */
  readonly maxPacketBytes: number;
  /** Largest packet before the login is accepted; default 8 KiB. */
  readonly maxLoginBytes: number;
  /** Until CONNECT has arrived and, again, until the policy has answered it; default 10,000 ms. */
  readonly connectTimeoutMs: number;
  /** Open connections, logged in or not; default 10,000. */
  readonly maxConnections: number;
  /** Filters a client may hold at once; the next is answered 0x80; default 100. */
  readonly maxFilters: number;
  /** Bytes written that the network has not taken; default 1 MiB. */
  readonly maxBacklogBytes: number;
  /** Messages of QoS 1 and 2 sent and not acknowledged, at most 65,535; default 20,000. */
  readonly maxUnacknowledged: number;
  /** How long one subscriber that takes nothing may hold up those who publish to it; default 250 ms. */
  readonly stallMs: number;
  /** How long a subscriber may take nothing before it is cut off; default 60,000 ms. */
  readonly maxStallMs: number;
  /** Publications that wait for those before them; default 100,000. */
  readonly maxWaiting: number;
  /** Sessions that outlive their connection; the oldest goes first; default 10,000. */
  readonly maxSessions: number;
  /** Messages kept for one such session; later ones are dropped; default 10,000. */
  readonly maxQueued: number;
  /** Retained messages; further topics are not retained; default 10,000. */
  readonly maxRetained: number;
}

export const DEFAULT_LIMITS: BrokerLimits = Object.freeze({
  maxPacketBytes: 1024 * 1024,
  maxLoginBytes: 8 * 1024,
  connectTimeoutMs: 10_000,
  maxConnections: 10_000,
  maxFilters: 100,
  maxBacklogBytes: 1024 * 1024,
  maxUnacknowledged: 20_000,
  stallMs: 250,
  maxStallMs: 60_000,
  maxWaiting: 100_000,
  maxSessions: 10_000,
  maxQueued: 10_000,
  maxRetained: 10_000,
});
