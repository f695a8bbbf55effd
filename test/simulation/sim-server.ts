import { Registry } from 'prom-client';
import { z } from 'zod';
import { SILENT } from '../../actors/observer.ts';
import type { MemoryDisk } from '../../actors/memory-disk.ts';
import { createRing, type Ring } from '../../actors/ring.ts';
import { createMemoryBus } from '../../brokers/memory.ts';
import { defineCommand, type Command } from '../../machines/command.ts';
import type { Run } from '../../machines/effect.ts';
import { createAudit } from '../../src/gateway/audit.ts';
import { createCore, type GatewayCore } from '../../src/gateway/core.ts';
import { createLog } from '../../src/gateway/log.ts';
import { createMqttAccess } from '../../src/gateway/mqtt-access.ts';
import { createWebhookDeliveries } from '../../src/gateway/webhook-deliveries.ts';
import type { WebhookSender } from '../../src/gateway/webhook-sender.ts';
import { testWebhooks } from '../support/webhooks.ts';
import type { Channel, Channels } from './channels.ts';
import { createHandlers, type Handlers } from './handlers.ts';
import { createSimBroker, type SimBroker } from './sim-broker.ts';
import { createThreads, type DiskFaults, type Threads } from './threads.ts';
import type { Domain, VirtualWorld } from './virtual-world.ts';

/** One process of the simulation, from its start to its death. */
export interface SimServer {
  readonly domain: Domain;
  readonly threads: Threads;
  readonly broker: SimBroker;
  readonly toServer: Channel;
  /** Requests that nobody answers any more once it is dead. */
  readonly lost: Set<() => void>;
  /** Set once the ring is open. */
  up(): { readonly core: GatewayCore; readonly ring: Ring; readonly handlers: Handlers } | null;
  kill(): void;
}

export interface SimServerOptions {
  readonly world: VirtualWorld;
  readonly channels: Channels;
  readonly disk: MemoryDisk;
  readonly faults: DiskFaults;
  /** What brings events to webhooks. */
  readonly sender: () => WebhookSender;
  readonly onRun: (run: Run) => void;
  readonly onStep: (run: Run, key: string, done: boolean) => void;
  /** It could not start, or cannot go on. */
  readonly onExit: () => void;
  readonly onError: (what: string, error: unknown) => void;
}

/** Commands whose arguments say what their handlers do; they differ in what they need. */
const declared = (
  [
    ['work', {}],
    ['look', { operation: 'read', risk: 'low' }],
    ['danger', { operation: 'execute', risk: 'high' }],
    ['guarded', { confirmations: { requester_may_vote: true, timeout: 20 } }],
  ] as const
).map(([name, facts]) =>
  defineCommand({ name, summary: name, args: z.looseObject({}), result: z.unknown(), run: () => null, ...facts }),
);
const commands: ReadonlyMap<string, Command> = new Map(declared.map((command) => [command.facts.name, command]));

const PLACES = 3;
const GRACE_MS = 5_000;

const log = createLog({ level: 'silent' });

export const startSimServer = (options: SimServerOptions): SimServer => {
  const { world, channels, disk, faults, sender, onRun, onStep, onExit, onError } = options;
  const domain: Domain = { alive: true };
  return world.within(domain, () => {
    const toServer = channels.open(domain, true);
    const threads = createThreads({ world, channels, process: domain, disk, faults });
    const access = createMqttAccess();
    const bus = createMemoryBus({ onError: (error) => onError('a listener', error) });
    const broker = createSimBroker(world, channels, domain, bus, access.policy);
    const lost = new Set<() => void>();
    let up: ReturnType<SimServer['up']> = null;
    let handlers: Handlers | null = null as Handlers | null;

    const die = (): void => {
      domain.alive = false;
      broker.die();
      for (const task of lost) task();
      lost.clear();
    };
    createRing({
      bus,
      directory: '',
      workers: 2,
      parts: threads.parts,
      agents: (report) => (handlers = createHandlers({ report, places: PLACES, onRun, onStep })),
      deliveries: (of) =>
        createWebhookDeliveries({ ...of, sender: sender(), onError: () => {}, limits: { perEndpoint: 2, waiting: 8 } }),
      shard: { turnInputs: 4, residentSessions: 2, horizonMs: 100_000, deadlineWindow: 2 },
      supervisor: { heartbeatMs: 10_000, maxRestarts: 20 },
      observer: { ...SILENT, error: onError },
      onFatal: onExit,
    }).then(
      (ring) => {
        if (!domain.alive) return;
        const core = createCore({
          system: ring,
          keys: ring.keys,
          commands,
          dataDirectory: '/nowhere',
          webhooks: testWebhooks,
          mqtt: { access, server: broker },
          log,
          register: new Registry(),
          limits: { graceMs: GRACE_MS },
          audit: createAudit({ note: ring.note, onError: () => {} }),
        });
        up = { core, ring, handlers: handlers as Handlers };
      },
      () => {
        if (!domain.alive) return;
        die();
        onExit();
      },
    );
    return { domain, threads, broker, toServer, lost, up: () => up, kill: die };
  });
};
