/** Bounds of the edge (contract, section 2, "Bounds"). */
export interface GatewayLimits {
  /** Bytes of an HTTP body; default 1 MiB. */
  readonly bodyBytes: number;
  /** Executions that wait for a place, in all; default 100,000. */
  readonly queuedExecutions: number;
  /** Long-polls and streams together; default 10,000. */
  readonly streams: number;
  /** JSON-RPC requests of one client that are not answered yet; default 64. */
  readonly inFlight: number;
  /** Failed logins and unauthenticated calls of one address in a minute; default 300. */
  readonly failedLogins: number;
  /** Milliseconds without a connection or a request after which a client counts as detached; default 60,000. */
  readonly graceMs: number;
  /** Milliseconds between two comments on a silent stream; default 15,000. */
  readonly heartbeatMs: number;
  /** Milliseconds for which a stream's reader may take nothing before it is cut off; default 30,000. */
  readonly stalledMs: number;
}

export const DEFAULT_GATEWAY_LIMITS: GatewayLimits = Object.freeze({
  bodyBytes: 1024 * 1024,
  queuedExecutions: 100_000,
  streams: 10_000,
  inFlight: 64,
  failedLogins: 300,
  graceMs: 60_000,
  heartbeatMs: 15_000,
  stalledMs: 30_000,
});
