import { Piscina } from 'piscina';
import { fileURLToPath } from 'node:url';
import type { AgentTask } from './agent-messages.ts';
import { workerUrl } from './worker-url.ts';

/** How long ending all threads may take: V8 cannot interrupt every loop, and nobody is to wait for that. */
const DESTROY_MS = 2_000;

export interface AgentThreadsOptions {
  readonly threads: number;
  /** Megabytes at which V8 itself gives up. */
  readonly hardHeapMb: number;
  /** A thread failed while it ran no task. */
  readonly onError: (error: unknown) => void;
}

/** The threads that run handlers: long-lived Piscina tasks, one to a thread. */
export interface AgentThreads {
  /** Occupies a thread. `ended` resolves with why it ended, which it never does by itself. */
  start(task: AgentTask): { readonly ended: Promise<string>; kill(): void };
  /** Megabytes that a thread uses, buffers included; null for one that is gone or cannot say. */
  usedMb(threadId: number): Promise<number | null>;
  /** Ends all threads and begins with new ones: for a pool whose threads do not even start. */
  rebuild(): void;
  close(): Promise<void>;
}

/**
 * Megabytes in which a thread makes new objects, an eighth of V8's default: an export's memory is mostly this. It is no slower
 * with so much; with half of it, it takes twice as long.
 */
const YOUNG_MB = 6;

const MEGABYTE = 1024 ** 2;

export const createAgentThreads = ({ threads, hardHeapMb, onError }: AgentThreadsOptions): AgentThreads => {
  // Long-lived tasks: with the default atomics the thread would block after each task and its timers and ports with it,
  // with the default idle time it is reaped. One task a thread, since an abort ends the thread.
  const build = (): Piscina => {
    const pool = new Piscina({
      filename: fileURLToPath(workerUrl('agent-thread')),
      minThreads: threads,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      concurrentTasksPerWorker: 1,
      recordTiming: false,
      resourceLimits: { maxOldGenerationSizeMb: hardHeapMb, maxYoungGenerationSizeMb: YOUNG_MB },
    });
    pool.on('error', onError);
    return pool;
  };
  let pool = build();

  const destroy = async (old: Piscina): Promise<void> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DESTROY_MS);
    });
    await Promise.race([old.destroy(), late]);
    clearTimeout(timer);
  };

  return {
    start: (task) => {
      const abort = new AbortController();
      const ended = pool.run(task, { transferList: [task.port], signal: abort.signal }).then(
        () => 'its task ended',
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      return { ended, kill: () => abort.abort() };
    },
    usedMb: async (threadId) => {
      const worker = pool.threads.find((thread) => thread.threadId === threadId);
      if (worker === undefined) return null;
      try {
        const { total_heap_size, external_memory } = await worker.getHeapStatistics();
        return (total_heap_size + external_memory) / MEGABYTE;
      } catch {
        return null;
      }
    },
    rebuild: () => {
      const old = pool;
      pool = build();
      destroy(old).catch(onError);
    },
    close: () => destroy(pool),
  };
};
