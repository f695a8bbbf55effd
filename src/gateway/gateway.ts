import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Registry } from 'prom-client';
import type { KeyStore } from '../../actors/journal.ts';
import type { System } from '../../actors/system.ts';
import { DEFAULT_GRANTS, type ClientType, type Grant } from '../../machines/capability.ts';
import type { Command } from '../../machines/command.ts';
import { problem } from '../../machines/error.ts';
import { NO_AUDIT, type Audit } from './audit.ts';
import { createCalls } from './calls.ts';
import type { GatewayContext } from './context.ts';
import { createCuts } from './cuts.ts';
import { createFacts } from './facts.ts';
import { createFailedLogins } from './failed-logins.ts';
import { createHttp } from './http.ts';
import { createJwtVerifier, type JwtIssuer } from './jwt.ts';
import { DEFAULT_GATEWAY_LIMITS, type GatewayLimits } from './limits.ts';
import type { Log } from './log.ts';
import { createLoginAudit } from './login-audit.ts';
import { createGatewayMetrics } from './metrics.ts';
import { addressOf, type MqttAccess } from './mqtt-access.ts';
import { createMqttConnections, type MqttServer } from './mqtt-connections.ts';
import { createLiveTopics } from './mqtt-live.ts';
import { createMqttRpc } from './mqtt-rpc.ts';
import { createPresence } from './presence.ts';
import { createPrincipalLimits, principalRateLimits, type ConfiguredRateLimits } from './principal-limits.ts';
import { ANONYMOUS, createPrincipals } from './principals.ts';
import { createRefusals } from './refusals.ts';
import { createSlots } from './slots.ts';
import { createStreams } from './streams.ts';
import { createWaits } from './waits.ts';

export interface GatewayOptions {
  /** The running ring. */
  readonly system: System;
  /** Principals and their API keys. */
  readonly keys: KeyStore;
  /** Every command by its name. */
  readonly commands: ReadonlyMap<string, Command>;
  /** Where artifacts are; absolute. */
  readonly dataDirectory: string;
  readonly http: { readonly host: string; readonly port: number };
  /** The broker, made with `access.policy`, and where it listens. Without it there is HTTP only. */
  readonly mqtt?: {
    readonly access: MqttAccess;
    readonly server: MqttServer;
    readonly host: string;
    readonly port: number;
  };
  readonly log: Log;
  /** Where metrics are collected; default one of its own. */
  readonly register?: Registry;
  readonly limits?: Partial<GatewayLimits>;
  /** What each type of client is granted; default `DEFAULT_GRANTS`. */
  readonly grants?: Readonly<Record<ClientType, readonly Grant[]>>;
  /** Accepted commands of one principal and command in 60 minutes; default ten times what `grants` says. */
  readonly principalRateLimit?: ConfiguredRateLimits;
  /** Where the gateway records what it decides by itself; default nowhere. */
  readonly audit?: Audit;
  /** Whose JWTs are believed; default nobody's. */
  readonly auth?: JwtIssuer | null;
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
  const { system, keys, commands, dataDirectory, log, version } = options;
  const limits = Object.freeze({ ...DEFAULT_GATEWAY_LIMITS, ...options.limits });
  const { grants = DEFAULT_GRANTS } = options;
  const now = (): number => system.now();
  const onError = (what: string) => (error: unknown) => log.error({ err: error }, what);
  const { audit = NO_AUDIT } = options;
  const register = options.register ?? new Registry();
  const facts = createFacts(system);
  const presence = createPresence({
    system,
    graceMs: limits.graceMs,
    presumed: system.presumedAttached(),
  });
  const waits = createWaits(system);
  const cuts = createCuts();
  const slots = createSlots(limits.streams);
  const streams = createStreams(system, limits.heartbeatMs);
  const refusals = createRefusals({ system, audit, onLimited: (reason) => metrics.limited(reason) });
  const context: GatewayContext = {
    system,
    facts,
    waits,
    slots,
    cuts,
    presence,
    commands,
    limits,
    dataDirectory,
    grants,
    principalLimits: createPrincipalLimits(principalRateLimits(grants, options.principalRateLimit), now),
    keys,
    audit,
    refusals,
  };
  const logins = createLoginAudit({ audit, now, onError: onError('a login could not be recorded') });
  const jwt = options.auth ? createJwtVerifier(options.auth, { log, now }) : null;
  const principals = createPrincipals({ keys, facts, cuts, jwt, now, onKey: logins.keyUsed });
  const failedLogins = createFailedLogins(limits.failedLogins, now, logins.loginFailed);
  const calls = createCalls(context, (error, operation) => log.error({ err: error, operation }, 'an operation failed'));
  const connections =
    options.mqtt === undefined
      ? null
      : createMqttConnections({ bus: system.bus, server: options.mqtt.server, presence, cuts });
  const metrics = createGatewayMetrics(register, {
    streams: slots.taken,
    waiters: waits.count,
    mqttConnections: () => connections?.count() ?? 0,
    presentClients: presence.count,
  });
  const live = createLiveTopics(context, onError('a state could not be published'));
  if (options.mqtt !== undefined && connections !== null) {
    const { connected, disconnected, signalOf } = connections;
    options.mqtt.access.bind({
      principals,
      failedLogins,
      live,
      connected,
      disconnected,
      signalOf,
      rpc: createMqttRpc({ context, calls, metrics, onError: onError('a reply could not be published') }),
      facts,
      cuts,
      now,
      onFailedLogin: () => metrics.failedLogin('mqtt'),
      onOperatorSubscribe: async (principal, filter, address) => {
        await audit.note({
          type: 'operator_subscribed',
          at: now(),
          session_id: null,
          principal,
          client_id: null,
          data: { filter, address },
        });
        log.info({ principal, filter }, 'an operator subscribes');
      },
      onRefused: (connection, operation) => {
        const { tag } = connection;
        const session = tag.kind === 'client' ? tag.identity.client.session_id : null;
        const identity = tag.kind === 'client' ? tag.identity : { ...ANONYMOUS, principal: tag.principal };
        refusals.note(
          { identity, address: addressOf(connection) },
          operation,
          problem('security_violation', 'a topic beyond the rights of the client', { reason: 'topic' }),
          session,
        );
      },
    });
  }
  const app = await createHttp({
    context,
    calls,
    principals,
    failedLogins,
    streams,
    metrics,
    log,
    register,
    version,
    origins: options.origins ?? [],
  });
  await app.ready();
  const ends = [
    ...(options.mqtt === undefined ? [] : [options.mqtt.server.acceptWebSocket(app.server, '/mqtt')]),
    system.onEvent(live.take),
    system.onCut((client) => {
      presence.forget(client as never);
      cuts.cut(client);
    }),
  ];

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
    for (const end of ends) end();
    streams.close();
    waits.close();
    live.close();
    presence.close();
    const closing = app.close();
    for (const socket of [...upgraded, ...silent]) socket.destroy();
    // A connection whose answer was under way becomes idle only now.
    const idle = setInterval(() => app.server.closeIdleConnections(), IDLE_POLL_MS);
    const all = setTimeout(() => app.server.closeAllConnections(), graceMs);
    await closing;
    clearInterval(idle);
    clearTimeout(all);
    // What was refused until now leaves its trace; the system is still there to take it.
    refusals.close();
    await audit.close();
    facts.close();
  };
  let closed: Promise<void> | null = null;

  return {
    listen: async () => {
      await app.listen({ host: options.http.host, port: options.http.port });
      const { address, port } = app.server.address() as AddressInfo;
      const { mqtt } = options;
      const bound = mqtt === undefined ? null : await mqtt.server.listenTcp({ host: mqtt.host, port: mqtt.port });
      return { http: { host: address, port }, mqtt: bound };
    },
    close: (graceMs = 5_000) => (closed ??= shutDown(graceMs)),
  };
};
