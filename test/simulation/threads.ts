import { createJournalLoop } from '../../actors/journal-loop.ts';
import { createMemoryJournal } from '../../actors/journal-memory.ts';
import type { JournalClient } from '../../actors/journal-client.ts';
import { StoreFailedError } from '../../actors/journal.ts';
import type { JournalInput, JournalNotice, JournalOutput } from '../../actors/journal-messages.ts';
import type { MemoryDisk } from '../../actors/memory-disk.ts';
import type { RingParts } from '../../actors/ring-parts.ts';
import { anchoredClock } from '../../actors/clock.ts';
import { createIdentifiers } from '../../actors/identifiers.ts';
import { createShardHost, type ShardHost } from '../../actors/shard-host.ts';
import type { ShardInput } from '../../actors/shard-messages.ts';
import type { ShardPool } from '../../actors/shard-pool.ts';
import { catalogue } from '../../machines/catalogue.ts';
import type { Channel, Channels } from './channels.ts';
import type { Domain, VirtualWorld } from './virtual-world.ts';

/** How the disk behaves; it outlives the processes that use it. */
export interface DiskFaults {
  /** So many writes more fail without a trace. */
  failing: number;
  /** So many writes more reach the disk and fail all the same: their outcome is unknown. */
  unknown: number;
  /** No write succeeds. */
  full: boolean;
}

export interface ThreadsOptions {
  readonly world: VirtualWorld;
  readonly channels: Channels;
  readonly process: Domain;
  readonly disk: MemoryDisk;
  readonly faults: DiskFaults;
}

/** The parts of a ring in one thread, and what can be done to them. */
export interface Threads {
  readonly parts: RingParts;
  /** Whether something that a shard worker has said is under way to the journal. */
  hasWords(worker: number): boolean;
  /** Ends a shard worker in the middle of whatever it is at. */
  killWorker(worker: number): void;
  /** Doubles what was last sent to a worker. */
  doubleInput(worker: number): void;
  /** While true the store answers nobody. */
  slowStore(slow: boolean): void;
}

/** How late the last words of a worker may come. */
const LATEST_MS = 2_000;
const RETRY_MS = 250;
/** One of so many messages to a worker arrives twice. */
const DOUBLED_EVERY = 32;

interface Worker {
  readonly domain: Domain;
  readonly host: ShardHost;
  readonly inbox: Channel;
  readonly outbox: Channel;
}

export const createThreads = ({ world, channels, process, disk, faults }: ThreadsOptions): Threads => {
  const fails = (): boolean => {
    if (faults.full) return true;
    if (faults.failing === 0) return false;
    faults.failing -= 1;
    return true;
  };
  const journal = createMemoryJournal({
    disk,
    beforeWrite: () => {
      if (fails()) throw new Error('the disk takes no writes');
    },
    afterWrite: () => {
      if (faults.unknown === 0) return;
      faults.unknown -= 1;
      throw new Error('the disk did not say what became of a write');
    },
  });
  const fromJournal = channels.open(process);
  const toJournal = channels.open(process);
  const workers = new Map<number, Worker>();
  let hear: (notice: JournalNotice) => void = () => {};
  let group = 0;
  const loop = createJournalLoop({
    journal,
    stopwatch: () => performance.now(),
    notify: (notice) => {
      if (notice.type === 'released' || notice.type === 'doubtful') group = notice.group;
      fromJournal.send(() => hear(notice));
    },
    later: (task, delayMs) => void setTimeout(task, delayMs),
  });
  const told = (task: () => void): void => {
    task();
    loop.wake();
  };

  const createClient: RingParts['journal'] = ({ onNotice }) => {
    const pending = new Map<number, PromiseWithResolvers<unknown>>();
    let calls = 0;
    hear = (notice) => {
      if (notice.type === 'answer') pending.get(notice.id)?.resolve(notice.value);
      else if (notice.type === 'refused') pending.get(notice.id)?.reject(new StoreFailedError(notice.message));
      else if (notice.type !== 'ready') onNotice(notice);
    };
    const call: JournalClient['call'] = (what) => {
      const id = (calls += 1);
      const answer = Promise.withResolvers<unknown>();
      pending.set(id, answer);
      toJournal.send(() => told(() => loop.call(id, what)));
      return answer.promise as Promise<never>;
    };
    return Promise.resolve({
      found: { cut: null, at: disk.latest },
      committed: () => group,
      call,
      connect: () => {
        throw new Error('there are no threads here');
      },
      keys: {
        list: () => call({ type: 'keys' }),
        find: (id) => call({ type: 'key', id }),
        put: async (key, entry) =>
          void (await call({ type: 'put-key', key, ...(entry === undefined ? {} : { entry }) })),
      },
      note: async (entries) => void (await call({ type: 'note', entries })),
      prune: (limits) => call({ type: 'prune', limits }),
      close: async () => void (await call({ type: 'close' })),
    });
  };

  let ended: (worker: number, reason: string) => void = () => {};

  const createPool: RingParts['pool'] = ({ clockAnchor, limits, onOutput, onEnd }): ShardPool => {
    const clock = anchoredClock(clockAnchor);
    const toMain = channels.open(process);
    const start = (worker: number): void => {
      const domain: Domain = { alive: true };
      const marks = { shard: -1, n: 0 };
      const inbox = channels.open(domain);
      const answers = channels.open(domain);
      const outbox = channels.open(process);
      const newId = createIdentifiers(clock);
      let timer: NodeJS.Timeout | undefined;
      const ran = (task: () => void): void => {
        task();
        host.run();
      };
      const host = createShardHost({
        catalogue,
        limits,
        clock,
        stopwatch: () => performance.now(),
        sources: { random: world.random, newEventId: () => newId('event'), newDeliveryId: () => newId('delivery') },
        toJournal: (input: JournalInput) => {
          const answer = (output: JournalOutput): void => answers.send(() => ran(() => host.journal(output)));
          outbox.send(() => told(() => loop.take(input, answer)));
        },
        toMain: (output) => toMain.send(() => onOutput(worker, output)),
        wakeAt: (at, task) => {
          clearTimeout(timer);
          timer = setTimeout(task, Math.max(at - clock(), 1));
        },
        retry: (task) => void setTimeout(() => ran(task), RETRY_MS),
        taking: (shard, n) => Object.assign(marks, { shard, n }),
      });
      workers.set(worker, { domain, host, inbox, outbox });
      ended = (dead, reason) => {
        if (workers.get(dead)?.domain.alive !== true) return;
        (workers.get(dead) as Worker).domain.alive = false;
        toMain.send(() => onEnd(dead, reason, null));
      };
    };
    const send = (worker: number, input: ShardInput): void => {
      const at = workers.get(worker);
      if (at === undefined) return;
      at.inbox.send(() => {
        if (input.type === 'inputs') at.host.inputs(input.inputs);
        else if (input.type === 'own') at.host.own(input.shards);
        else toMain.send(() => onOutput(worker, { type: 'pong', id: input.id, ...at.host.size(), heapMb: 1 }));
        at.host.run();
      });
      if (world.draw(DOUBLED_EVERY) === 0) at.inbox.double();
    };
    return {
      start: (worker) => world.within(process, () => start(worker)),
      kill: (worker) => ended(worker, 'it was killed'),
      send,
      rebuild: async () => {},
      close: async () => {
        for (const { domain } of workers.values()) domain.alive = false;
      },
    };
  };

  return {
    parts: {
      journal: createClient,
      pool: createPool,
      reads: () => ({ ...journal.reads, close: () => {} }),
    },
    hasWords: (worker) => (workers.get(worker)?.outbox.size() ?? 0) > 0,
    killWorker: (worker) => {
      const outbox = workers.get(worker)?.outbox;
      // What it had said may come long after its successor has begun.
      if (outbox !== undefined && outbox.size() > 0 && world.draw(2) === 0)
        world.within(process, () => {
          outbox.stalled = true;
          setTimeout(() => (outbox.stalled = false), world.draw(LATEST_MS));
        });
      ended(worker, 'its thread died');
    },
    doubleInput: (worker) => workers.get(worker)?.inbox.double(),
    slowStore: (slow) => {
      fromJournal.stalled = slow;
    },
  };
};
