import { once } from 'node:events';
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import type { FoundJournal } from './journal-sqlite.ts';
import { StoreFailedError, type Journal, type KeyStore } from './journal.ts';
import type {
  JournalAnswers,
  JournalCall,
  JournalCommand,
  JournalNotice,
  JournalThreadData,
} from './journal-messages.ts';
import { workerUrl } from './worker-url.ts';

export interface JournalClientOptions extends Pick<JournalThreadData, 'directory'> {
  /** Hears everything but answers, in commit order. */
  readonly onNotice: (notice: Exclude<JournalNotice, { type: 'answer' | 'refused' | 'ready' }>) => void;
  /** The thread ended by itself: nothing can be made durable in this process any more. */
  readonly onExit: (error: Error) => void;
  /** How long a call waits; default 10,000 ms. */
  readonly deadlineMs?: number;
}

/** The journal thread as the main thread holds it. */
export interface JournalClient {
  /** What the store was when it was opened. */
  readonly found: FoundJournal;
  /** The number of the group that the journal let go last, however far its news has come; wraps at 32 bits. */
  committed(): number;
  call<T extends JournalCall['type']>(call: Extract<JournalCall, { type: T }>): Promise<JournalAnswers[T]>;
  /** A port for a shard worker, to be transferred to it. */
  connect(): MessagePort;
  readonly keys: KeyStore;
  readonly note: Journal['note'];
  readonly prune: Journal['prune'];
  /** Closes the store and ends the thread; idempotent. */
  close(): Promise<void>;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Starts the journal thread; resolves when the store is open and recovered. Rejects with `StoreFailedError` when the
 * directory cannot be used. Every pending call is rejected with the cause when the thread ends.
 */
export const createJournalClient = async (options: JournalClientOptions): Promise<JournalClient> => {
  const { directory, onNotice, onExit, deadlineMs = 10_000 } = options;
  const committed = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const latestGroup = new Int32Array(committed);
  const workerData: JournalThreadData = { directory, committed };
  const worker = new Worker(workerUrl('journal-thread'), { workerData });
  const pending = new Map<number, Pending>();
  let nextId = 0;
  let cause: Error | null = null;
  let closing: Promise<void> | null = null;
  let isRunning = true;

  const send = (command: JournalCommand, transfer: MessagePort[] = []): void => worker.postMessage(command, transfer);
  const settle = (id: number): Pending | undefined => {
    const found = pending.get(id);
    pending.delete(id);
    clearTimeout(found?.timer);
    return found;
  };

  const { found } = await new Promise<Extract<JournalNotice, { type: 'ready' }>>((resolve, reject) => {
    worker.once('error', (error) => reject(new StoreFailedError(error.message, { cause: error })));
    worker.once('message', resolve);
  });
  worker.on('message', (notice: JournalNotice) => {
    if (notice.type === 'answer') settle(notice.id)?.resolve(notice.value as never);
    else if (notice.type === 'refused') settle(notice.id)?.reject(new StoreFailedError(notice.message));
    else if (notice.type !== 'ready') onNotice(notice);
  });
  worker.on('error', (error) => {
    cause = error;
  });
  worker.on('exit', (code) => {
    isRunning = false;
    const error = new StoreFailedError(`the journal thread ended with code ${code}`, { cause });
    for (const id of [...pending.keys()]) settle(id)?.reject(error);
    if (closing === null) onExit(error);
  });

  const call: JournalClient['call'] = (what) => {
    if (!isRunning) return Promise.reject(new StoreFailedError('the journal thread has ended', { cause }));
    const id = (nextId += 1);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          settle(id)?.reject(new StoreFailedError(`the journal did not answer "${what.type}" within ${deadlineMs} ms`)),
        deadlineMs,
      );
      pending.set(id, { resolve, reject, timer });
      send({ type: 'call', id, call: what });
    });
  };

  const end = async (): Promise<void> => {
    if (!isRunning) return;
    const ended = once(worker, 'exit');
    try {
      await call({ type: 'close' });
    } finally {
      await worker.terminate();
      await ended;
    }
  };

  return {
    found,
    committed: () => Atomics.load(latestGroup, 0),
    call,
    connect: () => {
      const { port1, port2 } = new MessageChannel();
      send({ type: 'worker', port: port1 }, [port1]);
      return port2;
    },
    keys: {
      list: () => call({ type: 'keys' }),
      find: (id) => call({ type: 'key', id }),
      put: async (key, entry) => void (await call({ type: 'put-key', key, ...(entry === undefined ? {} : { entry }) })),
    },
    prune: (limits) => call({ type: 'prune', limits }),
    note: async (entries) => void (await call({ type: 'note', entries })),
    close: () => (closing ??= end()),
  };
};
