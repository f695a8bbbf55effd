import { Worker } from 'node:worker_threads';
import { workerUrl } from './worker-url.ts';

/** How long the thread may take to end what it is at when the journal closes. */
const CLOSE_MS = 5_000;

/** What the thread says of each checkpoint: `code` is SQLite's extended one. */
export type Checkpointed = { readonly error: null } | { readonly error: string; readonly code: number | undefined };

/**
 * Moves SQLite's log into the file on a thread of its own, since its two fsyncs would be pauses of the journal. SQLite
 * lets one connection checkpoint while another writes (https://www.sqlite.org/wal.html, section 2.1).
 */
export interface Checkpointer {
  /** Whether one is under way. */
  readonly isBusy: boolean;
  /** Begins one; false where the thread has ended and the caller has to do it itself. */
  begin(): boolean;
  /** Waits until one that is under way has ended. */
  close(): Promise<void>;
}

/** The thread is started with the first checkpoint. `onError` hears of those that failed. */
export const createCheckpointer = (directory: string, onError: (error: Error) => void): Checkpointer => {
  let worker: Worker | null = null;
  let isBusy = false;
  let hasEnded = false;

  const start = (): Worker => {
    const started = new Worker(workerUrl('sqlite-checkpoint-thread'), { workerData: directory });
    // A checkpoint that is lost with the process is none that anybody waits for.
    started.unref();
    started.on('message', (done: Checkpointed) => {
      isBusy = false;
      if (done.error !== null) onError(Object.assign(new Error(done.error), { errcode: done.code }));
    });
    started.on('error', onError);
    started.on('exit', () => {
      isBusy = false;
      hasEnded = true;
    });
    return started;
  };

  return {
    get isBusy() {
      return isBusy;
    },
    begin: () => {
      if (hasEnded) return false;
      worker ??= start();
      isBusy = true;
      worker.postMessage('checkpoint');
      return true;
    },
    close: async () => {
      if (worker === null || hasEnded) return;
      // Its error is told already: the journal is closed all the same.
      const ended = new Promise((resolve) => worker?.once('exit', resolve));
      worker.ref();
      worker.postMessage('close');
      const timer = setTimeout(() => void worker?.terminate(), CLOSE_MS);
      await ended;
      clearTimeout(timer);
    },
  };
};
