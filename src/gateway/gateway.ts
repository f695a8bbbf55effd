import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createCore, type CoreOptions } from './core.ts';
import { createHttp } from './http.ts';
import type { MqttServer } from './mqtt-connections.ts';

export interface GatewayOptions extends CoreOptions {
  readonly http: { readonly host: string; readonly port: number };
  /** Where the broker listens as well. */
  readonly mqtt?: CoreOptions['mqtt'] & { readonly server: MqttServer; readonly host: string; readonly port: number };
  /** Origins of pages that may call the HTTP binding; none by default. */
  readonly origins?: readonly string[];
  /** The version that the documents name. */
  readonly version: string;
}

export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}

export interface Gateway {
  /**
   * Starts to listen: HTTP with MQTT over WebSocket at `/mqtt`, and MQTT over TCP. Rejects with Node's error
   * (`EADDRINUSE`, `EACCES`) where the HTTP address cannot be had, with the broker's where its cannot.
   */
  listen(): Promise<{ readonly http: BoundAddress; readonly mqtt: BoundAddress | null }>;
  /**
   * Takes no more connections, ends streams and long-polls, waits up to `graceMs` (default 5,000) for answers under way,
   * then closes what is left. Idempotent. Leaves the system and the broker to their owner, who closes them after it.
   */
  close(graceMs?: number): Promise<void>;
}

const IDLE_POLL_MS = 10;

/** The gateway: the bindings of the table of operations to a running system. */
export const createGateway = async (options: GatewayOptions): Promise<Gateway> => {
  const { log, version, origins = [], mqtt } = options;
  const core = createCore(options);
  const app = await createHttp({ ...core, log, version, origins });
  await app.ready();
  const stopUpgrades = mqtt?.server.acceptWebSocket(app.server, '/mqtt');

  // A connection on which nothing was asked yet counts as busy, not as idle, to the HTTP server.
  const silent = new Set<Socket>();
  app.server.on('connection', (socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  app.server.on('request', ({ socket }) => void silent.delete(socket));
  // Upgraded sockets are no longer the HTTP server's to close, but it waits for them.
  const upgraded = new Set<Duplex>();
  app.server.on('upgrade', (_, socket: Duplex) => {
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
  });

  const shutDown = async (graceMs: number): Promise<void> => {
    stopUpgrades?.();
    core.quit();
    const closing = app.close();
    for (const socket of [...upgraded, ...silent]) socket.destroy();
    // A connection whose answer was under way becomes idle only now.
    const idle = setInterval(() => app.server.closeIdleConnections(), IDLE_POLL_MS);
    const all = setTimeout(() => app.server.closeAllConnections(), graceMs);
    await closing;
    clearInterval(idle);
    clearTimeout(all);
    await core.close();
  };
  let closed: Promise<void> | null = null;

  return {
    listen: async () => {
      await app.listen({ host: options.http.host, port: options.http.port });
      const { address, port } = app.server.address() as AddressInfo;
      const bound = mqtt === undefined ? null : await mqtt.server.listenTcp({ host: mqtt.host, port: mqtt.port });
      return { http: { host: address, port }, mqtt: bound };
    },
    close: (graceMs = 5_000) => (closed ??= shutDown(graceMs)),
  };
};
