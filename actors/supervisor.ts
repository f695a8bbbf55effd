import type { ChildEffect, ChildSpec } from '../machines/child.ts';
import { createChildRunner, type ChildRunner } from './child-runner.ts';
import type { Clock } from './clock.ts';
import type { Observer } from './observer.ts';
import { SHARDS, shardsOf } from './placement.ts';
import type { Input, ShardLimits, ShardOutput } from './shard-messages.ts';
import type { ShardPool, ShardPoolOptions, Taking } from './shard-pool.ts';

export interface SupervisorLimits {
  /** Time between two heartbeats; default 1,000 ms. */
  readonly heartbeatMs: number;
  /** Heartbeats without an answer before a worker counts as unresponsive; default 5. */
  readonly missed: number;
  /** Restarts of a worker within `maxSeconds` before its pool is rebuilt; defaults 5 in 10 s. */
  readonly maxRestarts: number;
  readonly maxSeconds: number;
  /** How long a worker may take to start and to claim its shards; default 10,000 ms. */
  readonly startMs: number;
  /** Megabytes of heap at which a worker is replaced, seen at its heartbeats; default 1,024. */
  readonly maxHeapMb: number;
}

const LIMITS: SupervisorLimits = {
  heartbeatMs: 1_000,
  missed: 5,
  maxRestarts: 5,
  maxSeconds: 10,
  startMs: 10_000,
  maxHeapMb: 1_024,
};
const KILL_MS = 5_000;
/** Inputs that travel as one message at most: a shard begins before the last of many has been sent. */
const BATCH = 32;

export interface SupervisorOptions {
  readonly workers: number;
  readonly clockAnchor: number;
  readonly catalogue: string;
  readonly limits: ShardLimits;
  readonly supervision: Partial<SupervisorLimits>;
  readonly clock: Clock;
  readonly pool: (options: Omit<ShardPoolOptions, 'connectJournal'>) => ShardPool;
  readonly observer: Observer;
  readonly onGap: (gap: Extract<ShardOutput, { type: 'gap' }>) => void;
  /** A worker is gone; this is what it was taking. */
  readonly onDeath: (taking: Taking) => void;
}

/** Keeps the shard workers alive (architecture, "Supervision"). */
export interface Supervisor {
  /** Starts all workers; resolves when every shard is claimed, rejects when a worker does not get that far. */
  start(): Promise<void>;
  /** Sends an input to whoever holds its shard; what is sent in one go travels as one message. */
  send(shard: number, input: Input): void;
  /** The journal has given a shard to its worker. */
  claimed(shard: number): void;
  /** How many shards are held by a running worker. */
  open(): number;
  close(): Promise<void>;
}

interface Held {
  readonly runner: ChildRunner;
  readonly shards: readonly number[];
  /** Heartbeats sent and not answered. */
  unanswered: number;
}

export const createSupervisor = (options: SupervisorOptions): Supervisor => {
  const { workers, clock, observer, onGap, onDeath } = options;
  const limits = { ...LIMITS, ...options.supervision };
  const held: Held[] = [];
  const openShards = new Set<number>();
  let outgoing = new Map<number, Input[]>();
  let started: { resolve: () => void; reject: (error: Error) => void } | null = null;
  let heartbeat: NodeJS.Timeout | undefined;
  let ping = 0;
  let restarts = 0;

  const pool = options.pool({
    workers,
    clockAnchor: options.clockAnchor,
    catalogue: options.catalogue,
    limits: options.limits,
    maxHeapMb: limits.maxHeapMb,
    onOutput: (worker, output) => {
      const child = held[worker];
      if (output.type === 'gap') onGap(output);
      else if (child !== undefined) {
        child.unanswered = 0;
        observer.resident(worker, output.sessions, output.actors);
        if (output.heapMb > limits.maxHeapMb) unresponsive(child);
      }
    },
    onEnd: (worker, reason, taking) => {
      const child = held[worker];
      for (const shard of child?.shards ?? []) openShards.delete(shard);
      if (taking !== null) onDeath(taking);
      child?.runner.tell({ type: 'child.exited', reason, incarnation: child.runner.incarnation() });
    },
  });

  const unresponsive = ({ runner }: Held): void =>
    runner.tell({ type: 'child.unresponsive', incarnation: runner.incarnation() });

  const begin = async (worker: number, rebuild: boolean): Promise<void> => {
    if (rebuild) await pool.rebuild();
    const child = held[worker];
    if (child !== undefined) child.unanswered = 0;
    pool.start(worker);
    pool.send(worker, { type: 'own', shards: shardsOf(worker, workers) });
  };

  const onEffect = (worker: number, effect: ChildEffect): void => {
    if (effect.type === 'start') {
      begin(worker, effect.rebuild).catch((error: unknown) =>
        observer.error('a shard worker could not be started', error),
      );
    } else if (effect.type === 'kill') pool.kill(worker);
    else report(worker, effect);
  };

  const report = (worker: number, { state, reason }: Extract<ChildEffect, { type: 'report' }>): void => {
    const why = `shard worker ${worker}: ${reason ?? ''}`;
    if (state === 'running' && openShards.size === SHARDS) {
      started?.resolve();
      started = null;
    }
    if (state === 'restarting') observer.restarted('shard_worker', why);
    if (state === 'rebuilding') observer.restarted('shard_pool', why);
    // Restarts that are each slow never exceed the limits within their window.
    if (state === 'rebuilding' || (state === 'restarting' && ++restarts > limits.maxRestarts)) {
      started?.reject(new Error(why));
      started = null;
    }
    if (state === 'failed') observer.failed('shard_worker', why);
  };

  const beat = (): void => {
    ping += 1;
    for (const [worker, child] of held.entries()) {
      // One that is still starting has a deadline of its own.
      if (!child.shards.every((shard) => openShards.has(shard))) continue;
      if (child.unanswered >= limits.missed) {
        child.unanswered = 0;
        unresponsive(child);
      } else {
        child.unanswered += 1;
        pool.send(worker, { type: 'ping', id: ping });
      }
    }
  };

  const specOf = (worker: number): ChildSpec => ({
    id: `shard-worker-${worker}`,
    limits: { max_restarts: limits.maxRestarts, max_seconds: limits.maxSeconds },
    beyond: 'rebuild',
    restart: { base_ms: 20, cap_ms: 1_000 },
    rebuild: { base_ms: 500, cap_ms: 30_000 },
    start_ms: limits.startMs,
    kill_ms: KILL_MS,
  });

  const flush = (): void => {
    const batches = outgoing;
    outgoing = new Map();
    for (const [worker, inputs] of batches) if (inputs.length > 0) pool.send(worker, { type: 'inputs', inputs });
  };

  return {
    start: () =>
      new Promise((resolve, reject) => {
        started = { resolve, reject };
        for (let worker = 0; worker < workers; worker++) {
          const runner = createChildRunner(specOf(worker), clock, (effect) => onEffect(worker, effect));
          held.push({ runner, shards: shardsOf(worker, workers), unanswered: 0 });
        }
        heartbeat = setInterval(beat, limits.heartbeatMs);
        heartbeat.unref();
      }),
    send: (shard, input) => {
      const worker = shard % workers;
      // After the promises of this event-loop turn: whoever was answered asks again in the same batch.
      if (outgoing.size === 0) setImmediate(flush);
      const batch = outgoing.get(worker);
      if (batch === undefined) outgoing.set(worker, [input]);
      else if (batch.push(input) >= BATCH) {
        outgoing.set(worker, []);
        pool.send(worker, { type: 'inputs', inputs: batch });
      }
    },
    claimed: (shard) => {
      openShards.add(shard);
      const child = held[shard % workers];
      if (child?.shards.every((mine) => openShards.has(mine)) === true) {
        child.runner.tell({ type: 'child.ready', incarnation: child.runner.incarnation() });
      }
    },
    open: () => openShards.size,
    close: async () => {
      clearInterval(heartbeat);
      for (const { runner } of held) runner.dispose();
      await pool.close();
    },
  };
};
