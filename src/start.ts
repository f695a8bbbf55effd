import { mkdir } from 'node:fs/promises';
import { Registry } from 'prom-client';
import { createAgentPool } from '../actors/agent-pool.ts';
import { createRing } from '../actors/ring.ts';
import { createEmbeddedBroker } from '../brokers/embedded.ts';
import { commandModules, loadCommands } from './commands/registry.ts';
import { loadConfig } from './config/config.ts';
import { ConfigError } from './config/config-error.ts';
import { credentialsFile, ensureOperator } from './gateway/credentials.ts';
import { createGateway } from './gateway/gateway.ts';
import { createLog } from './gateway/log.ts';
import { createMqttAccess } from './gateway/mqtt-access.ts';
import { createObserver, observeQueues } from './gateway/runtime-metrics.ts';
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

/**
 * Composes and starts a server. Rejects with an `Error` that has a `field`, the flag or the configuration's field at
 * fault, where it cannot start as it was asked to.
 */
export const startServer = async (options: ServerOptions = {}): Promise<Server> => {
  const { data, http, mqtt, config: file, onFatal = () => {} } = options;
  const config = await loadConfig({ flags: { data, http, mqtt, config: file } });
  const directory = config.data;
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((cause: Error) => {
    throw new ConfigError('--data', `a directory that can be written, but ${cause.message}`, { cause });
  });
  const log = createLog({ level: config.log.level });
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
  const ring = await createRing({
    bus,
    directory,
    workers: config.shards.workers,
    observer,
    onFatal,
    agents: (report) =>
      createAgentPool({ modules, roots: config.roots, dataDirectory: directory, report, onLog: (entry) => log.info(entry) }),
  });
  observeQueues(register, ring.agents);
  await ensureOperator(ring.keys, directory, ring.now());
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
    version: VERSION,
  });
  const close = async (graceMs = config.drainMs): Promise<void> => {
    await gateway.close();
    await ring.close(graceMs);
    await bus.close();
  };
  const addresses = await gateway.listen().catch(async (error: unknown) => {
    await close(0);
    throw error;
  });
  const url = ({ host, port }: { host: string; port: number }): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    http: `http://${url(addresses.http)}`,
    mqtt: `mqtt://${url(addresses.mqtt ?? config.mqtt)}`,
    ws: `ws://${url(addresses.http)}/mqtt`,
    credentials: credentialsFile(directory),
    close,
  };
};
