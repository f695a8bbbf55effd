import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { fileURLToPath } from 'node:url';
import type { ShardInput, ShardLimits, ShardOutput, ShardTask } from './shard-messages.ts';
import { workerUrl } from './worker-url.ts';

export interface ShardPoolOptions {
  readonly workers: number;
  readonly clockAnchor: number;
  /** Module that exports the `catalogue`. */
  readonly catalogue: string;
  readonly limits: ShardLimits;
  /** Megabytes of heap that a worker is meant to stay below. */
  readonly maxHeapMb: number;
  readonly connectJournal: () => MessagePort;
  readonly onOutput: (worker: number, output: ShardOutput) => void;
  /** The latest task of a worker has ended, which it never does by itself. `taking` is the input it was at, if any. */
  readonly onEnd: (worker: number, reason: string, taking: Taking | null) => void;
}

export interface Taking {
  readonly shard: number;
  readonly n: number;
}

/** The threads that host shards: long-lived Piscina tasks, one to a thread. Starting them again is the supervisor's. */
export interface ShardPool {
  start(worker: number): void;
  /** Ends a worker's thread, however busy it is. */
  kill(worker: number): void;
  send(worker: number, input: ShardInput): void;
  /** Ends all threads and begins with new ones: for a pool whose threads do not even start. */
  rebuild(): Promise<void>;
  close(): Promise<void>;
}

interface Running {
  readonly port: MessagePort;
  readonly abort: AbortController;
}

const HARD_LIMIT = 4;
/** V8's own choice is three times as much for each thread, and most of it is never given back. */
const YOUNG_MB = 24;

export const createShardPool = (options: ShardPoolOptions): ShardPool => {
  const { workers, clockAnchor, catalogue, limits, maxHeapMb, connectJournal, onOutput, onEnd } = options;
  const running = new Map<number, Running>();
  let closing = false;

  // Long-lived tasks: with the default atomics a thread blocks, with the default idle time it is reaped.
  const build = (): Piscina =>
    new Piscina({
      filename: fileURLToPath(workerUrl('shard-worker')),
      minThreads: workers,
      maxThreads: workers,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      concurrentTasksPerWorker: 1,
      // V8's own limit can end the whole process; the supervisor looks at the heap long before it is reached.
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMb * HARD_LIMIT, maxYoungGenerationSizeMb: YOUNG_MB },
    });
  let pool = build();

  const start = (worker: number): void => {
    // A rebuild may have been under way.
    if (closing) return;
    const { port1: port, port2: main } = new MessageChannel();
    const journal = connectJournal();
    const taking = new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
    const marks = new Float64Array(taking).fill(-1);
    const abort = new AbortController();
    const mine: Running = { port, abort };
    running.set(worker, mine);
    port.on('message', (output: ShardOutput) => onOutput(worker, output));
    const task: ShardTask = { worker, main, journal, clockAnchor, catalogue, limits, taking };
    const ended = (reason: string): void => {
      port.close();
      // One that did not end when it was told to and has been replaced is no news of who took its place.
      if (running.get(worker) !== mine) return;
      running.delete(worker);
      const [shard = -1, n = 0] = marks;
      if (!closing) onEnd(worker, reason, shard < 0 ? null : { shard, n });
    };
    pool.run(task, { transferList: [main, journal], signal: abort.signal }).then(
      () => ended('its task ended'),
      (error: unknown) => ended(error instanceof Error ? error.message : String(error)),
    );
  };

  return {
    start,
    kill: (worker) => running.get(worker)?.abort.abort(),
    send: (worker, input) => running.get(worker)?.port.postMessage(input),
    rebuild: async () => {
      const old = pool;
      pool = build();
      await old.destroy();
    },
    close: async () => {
      closing = true;
      await pool.destroy();
      for (const { port } of running.values()) port.close();
    },
  };
};
