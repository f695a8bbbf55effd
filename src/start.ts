import { join } from 'node:path';
import { destination } from 'pino';
import { Registry } from 'prom-client';
import type { AgentLogEntry } from '../actors/agent-options.ts';
import { createAgentPool, type AgentPool } from '../actors/agent-pool.ts';
import { removeArtifacts } from '../actors/artifacts.ts';
import { stopwatch } from '../actors/clock.ts';
import { StoreFailedError } from '../actors/journal.ts';
import { createRetention } from '../actors/retention.ts';
import { createRing, type Ring } from '../actors/ring.ts';
import { createEmbeddedBroker } from '../brokers/embedded.ts';
import type { Command } from '../machines/command.ts';
import { masked } from '../machines/mask.ts';
import { commandModules, loadCommands } from './commands/registry.ts';
import { loadConfig } from './config/config.ts';
import { ConfigError } from './config/config-error.ts';
import { ensureDataDirectory } from './data-directory.ts';
import { createAddressCheck } from './gateway/address-check.ts';
import { createAudit } from './gateway/audit.ts';
import { credentialsFile, ensureOperator } from './gateway/credentials.ts';
import { createGateway, type BoundAddress } from './gateway/gateway.ts';
import { historyOf } from './gateway/history.ts';
import { createLog, type Log } from './gateway/log.ts';
import { createMqttAccess } from './gateway/mqtt-access.ts';
import { createObserver, observeQueues } from './gateway/runtime-metrics.ts';
import { openSecretBox, type SecretBox } from './gateway/secret-box.ts';
import { createWebhookDeliveries } from './gateway/webhook-deliveries.ts';
import { createWebhookMetrics } from './gateway/webhook-metrics.ts';
import { createWebhookSender } from './gateway/webhook-sender.ts';
import { VERSION } from './version.ts';

export interface ServerOptions {
  /** Data directory; default `.arbor`. */
  readonly data?: string;
  /** `HOST:PORT`; default `127.0.0.1:7070`. Port 0 takes a free one. */
  readonly http?: string;
  /** `HOST:PORT`; default `127.0.0.1:1883`. */
  readonly mqtt?: string;
  /** Configuration file; default `arbor.config.{js,mjs,ts}` of the working directory, where there is one. */
  readonly config?: string;
  /** Hears when nothing can be made durable any more: the process has to be started again. */
  readonly onFatal?: (error: Error) => void;
}

export interface Server {
  /** Base URL. */
  readonly http: string;
  readonly mqtt: string;
  /** MQTT over WebSocket. */
  readonly ws: string;
  /** File with the operator's principal and key. */
  readonly credentials: string;
  /** Drains (`limits.drain`, 30 s by default) and ends everything. Idempotent. */
  close(graceMs?: number): Promise<void>;
}

/** The same error under the flag that would have to say something else. */
const blame =
  (flag: string) =>
  (cause: Error): never => {
    throw new ConfigError(flag, cause.message, { cause });
  };

const openBox = (directory: string): SecretBox => {
  try {
    return openSecretBox(directory);
  } catch (error) {
    return blame('--data')(error as Error);
  }
};

/** What handlers and their pool have to say goes to the server's log, without the secrets that a handler was given. */
const logged =
  (log: Log, commands: ReadonlyMap<string, Command>) =>
  ({ level, message, fields, source }: AgentLogEntry): void => {
    const secrets = source === null ? [] : commands.get(source.command)?.facts.secrets;
    log[level]({ ...(masked(fields, secrets) as object), ...source }, message);
  };

const authority = ({ host, port }: BoundAddress): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

/**
 * Composes and starts a server. Rejects with an `Error` whose message is one line that names the flag or the field at
 * fault, where it cannot start as it was asked to; nothing is left running then.
 */
export const startServer = async (options: ServerOptions = {}): Promise<Server> => {
  const { data, http, mqtt, config: file, onFatal } = options;
  const config = await loadConfig({ flags: { data, http, mqtt, config: file } });
  const directory = config.data;
  await ensureDataDirectory(directory);
  let graceMs = config.drainMs;
  await using started = new AsyncDisposableStack();

  // Standard output belongs to who started the server: one line says that it is ready.
  const log = createLog({ level: config.log.level, destination: destination({ dest: 2, sync: true }) });
  const register = new Registry();
  const observer = createObserver(register, log);
  const modules = commandModules(config.commands);
  const commands = await loadCommands(modules);
  const access = createMqttAccess();
  const bus = await createEmbeddedBroker({
    policy: access.policy,
    onError: (error) => observer.error('the broker', error),
    onCut: (client, reason) => log.info({ client, reason }, 'a connection was ended'),
  });
  started.defer(() => bus.close());
  const webhooks = { box: openBox(directory), check: createAddressCheck(config.webhooks) };
  const webhookMetrics = createWebhookMetrics(register);
  let agents: AgentPool | null = null as AgentPool | null;
  const made = Promise.withResolvers<Pick<Ring, 'reads' | 'now'>>();
  const ring = await createRing({
    bus,
    directory,
    workers: config.shards.workers,
    observer,
    ...(onFatal && { onFatal }),
    agents: (report) => {
      agents = createAgentPool({
        modules,
        threads: config.agents.threads,
        roots: config.roots,
        dataDirectory: directory,
        report,
        // What the last process left running may begin before the ring is made.
        history: async (session) => historyOf({ ...(await made.promise), retentionMs: config.retentionMs }, session),
        onLog: logged(log, commands),
      });
      // A module that does not load is told of below, once there is something to close.
      agents.ready.catch(() => {});
      return agents;
    },
    deliveries: (parts) => {
      const deliveries = createWebhookDeliveries({
        ...parts,
        sender: createWebhookSender({ ...webhooks, clock: parts.now }),
        onAttempt: webhookMetrics.attempted,
        onError: (error) => observer.error('a delivery was postponed', error),
      });
      webhookMetrics.observe(deliveries);
      return deliveries;
    },
  }).catch((error: Error) => {
    if (error instanceof StoreFailedError) blame('--data')(error);
    throw error;
  });
  made.resolve(ring);
  started.defer(() => ring.close(graceMs));
  await agents?.ready;
  observeQueues(register, ring.agents);
  ring.onEvent(({ type }) => {
    if (type === 'webhook_dead') webhookMetrics.dead();
  });
  await ensureOperator(ring.keys, directory, ring.now()).catch(blame('--data'));
  const retention = createRetention({
    prune: ring.prune,
    removeArtifacts: (execution) => removeArtifacts(join(directory, 'artifacts'), execution),
    retentionMs: config.retentionMs,
    auditRetentionMs: config.auditRetentionMs,
    clock: ring.now,
    stopwatch,
    random: Math.random,
    isReady: () => ring.readiness().ready,
    later: (task, delayMs) => {
      const timer = setTimeout(task, delayMs);
      return () => clearTimeout(timer);
    },
    observer,
  });
  started.defer(() => retention.close());
  const gateway = await createGateway({
    system: ring,
    keys: ring.keys,
    commands,
    dataDirectory: directory,
    http: config.http,
    mqtt: { access, server: bus, ...config.mqtt },
    log,
    register,
    limits: config.limits,
    grants: config.grants,
    audit: createAudit({ note: ring.note, onError: (error) => log.error({ err: error }, 'the audit is incomplete') }),
    principalRateLimit: config.principalRateLimit,
    auth: config.auth,
    webhooks,
    version: VERSION,
  });
  started.defer(() => gateway.close());
  // Node says what it could not do as its `syscall`; the broker's error is one of its own.
  const addresses = await gateway
    .listen()
    .catch((error: NodeJS.ErrnoException) => blame(error.syscall === undefined ? '--mqtt' : '--http')(error));

  const running = started.move();
  return {
    http: `http://${authority(addresses.http)}`,
    mqtt: `mqtt://${authority(addresses.mqtt ?? config.mqtt)}`,
    ws: `ws://${authority(addresses.http)}/mqtt`,
    credentials: credentialsFile(directory),
    close: async (within = config.drainMs) => {
      graceMs = within;
      // While handlers end, the gateway says so to who asks, and tells of their ends to who listens.
      await ring.drain(within);
      await running.disposeAsync();
    },
  };
};
