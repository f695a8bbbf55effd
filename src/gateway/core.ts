import { Registry } from 'prom-client';
import type { KeyStore } from '../../actors/journal.ts';
import type { System } from '../../actors/system.ts';
import { DEFAULT_GRANTS, type ClientType, type Grant } from '../../machines/capability.ts';
import type { Command } from '../../machines/command.ts';
import { problem } from '../../machines/error.ts';
import { NO_AUDIT, type Audit } from './audit.ts';
import { createCalls, type Calls } from './calls.ts';
import type { GatewayContext } from './context.ts';
import { createCuts } from './cuts.ts';
import { createFacts } from './facts.ts';
import { createFailedLogins, type FailedLogins } from './failed-logins.ts';
import { createJwtVerifier, type JwtIssuer } from './jwt.ts';
import { DEFAULT_GATEWAY_LIMITS, type GatewayLimits } from './limits.ts';
import type { Log } from './log.ts';
import { createLoginAudit } from './login-audit.ts';
import { createGatewayMetrics, type GatewayMetrics } from './metrics.ts';
import { addressOf, type MqttAccess } from './mqtt-access.ts';
import { createMqttConnections, type MqttServer } from './mqtt-connections.ts';
import { createLiveTopics } from './mqtt-live.ts';
import { createMqttRpc } from './mqtt-rpc.ts';
import { NO_WEBHOOKS, type WebhookParts } from './webhook-parts.ts';
import { createPresence } from './presence.ts';
import { createPrincipalLimits, principalRateLimits, type ConfiguredRateLimits } from './principal-limits.ts';
import { ANONYMOUS, createPrincipals, type Principals } from './principals.ts';
import { createRefusals } from './refusals.ts';
import { createSlots } from './slots.ts';
import { createStreams, type Streams } from './streams.ts';
import { createWaits } from './waits.ts';

export interface CoreOptions {
  /** The running ring. */
  readonly system: System;
  /** Principals and their API keys. */
  readonly keys: KeyStore;
  /** Every command by its name. */
  readonly commands: ReadonlyMap<string, Command>;
  /** Where artifacts are; absolute. */
  readonly dataDirectory: string;
  /** The broker, made with `access.policy`. Without it there is HTTP only. */
  readonly mqtt?: { readonly access: MqttAccess; readonly server: Pick<MqttServer, 'disconnect'> };
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
  /** What checks addresses and seals secrets of webhooks; by default none can be registered. */
  readonly webhooks?: WebhookParts;
}

/** The gateway without its listening sockets: what decides, whatever binding a call comes by. */
export interface GatewayCore {
  readonly context: GatewayContext;
  readonly calls: Calls;
  readonly principals: Principals;
  readonly failedLogins: FailedLogins;
  readonly streams: Streams;
  readonly metrics: GatewayMetrics;
  readonly register: Registry;
  /** Lets everybody go who waits, and follows the system no more; answers under way may still be given. */
  quit(): void;
  /** What was refused until now leaves its trace; the system is still there to take it. */
  close(): Promise<void>;
}

/** Makes the core and ties it to the system's events. */
export const createCore = (options: CoreOptions): GatewayCore => {
  const { system, keys, commands, dataDirectory, log } = options;
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
    webhooks: options.webhooks ?? NO_WEBHOOKS,
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
  const ends = [
    system.onEvent(live.take),
    system.onCut((client) => {
      presence.forget(client as never);
      cuts.cut(client);
    }),
  ];
  return {
    context,
    calls,
    principals,
    failedLogins,
    streams,
    metrics,
    register,
    quit: () => {
      for (const end of ends) end();
      streams.close();
      waits.close();
      live.close();
      presence.close();
    },
    close: async () => {
      refusals.close();
      await audit.close();
      facts.close();
    },
  };
};
