import { flushCompileCache } from 'node:module';
import { getHeapStatistics } from 'node:v8';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { Catalogue } from '../machines/catalogue.ts';
import { anchoredClock, stopwatch } from './clock.ts';
import { createIdentifiers } from './identifiers.ts';
import { createShardHost } from './shard-host.ts';
import type { ShardInput, ShardOutput, ShardTask } from './shard-messages.ts';
import type { JournalOutput } from './journal-messages.ts';

/** A timer may not be set further ahead than this; it is set again when it comes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const RETRY_MS = 250;

/**
 * The long-lived Piscina task that hosts shards. It never resolves: the supervisor ends it with its thread.
 */
export default async ({ main, journal, clockAnchor, catalogue, limits, taking }: ShardTask): Promise<never> => {
  const loaded = (await import(catalogue)) as { readonly catalogue: Catalogue };
  // Where compiled code is kept: a thread that is ended with its process writes nothing.
  flushCompileCache();
  const clock = anchoredClock(clockAnchor);
  const newId = createIdentifiers(clock);
  const marks = new Float64Array(taking);
  let timer: NodeJS.Timeout | undefined;

  const host = createShardHost({
    catalogue: loaded.catalogue,
    limits,
    clock,
    stopwatch,
    sources: { random: Math.random, newEventId: () => newId('event'), newDeliveryId: () => newId('delivery') },
    toJournal: (input) => journal.postMessage(input),
    toMain: (output) => main.postMessage(output),
    wakeAt: (at, task) => {
      clearTimeout(timer);
      timer = setTimeout(task, Math.min(Math.max(at - clock(), 1), LONGEST_TIMER_MS));
    },
    retry: (task) => void setTimeout(task, RETRY_MS),
    taking: (shard, n) => {
      marks[0] = shard;
      marks[1] = n;
    },
  });

  const take = (message: ShardInput): void => {
    if (message.type === 'inputs') return host.inputs(message.inputs);
    if (message.type === 'own') return host.own(message.shards);
    const heapMb = getHeapStatistics().used_heap_size / 2 ** 20;
    main.postMessage({ type: 'pong', id: message.id, ...host.size(), heapMb } satisfies ShardOutput);
  };

  /**
   * All that has arrived makes larger turns than what one event delivers. The journal comes first: it says which epoch
   * is open, and the main thread sends for an epoch only after the journal has said so here.
   */
  const drain = (): void => {
    for (let next = receiveMessageOnPort(journal); next !== undefined; next = receiveMessageOnPort(journal)) {
      host.journal(next.message as JournalOutput);
    }
  };
  journal.on('message', (output: JournalOutput) => {
    host.journal(output);
    drain();
    host.run();
  });
  main.on('message', (input: ShardInput) => {
    drain();
    take(input);
    for (let next = receiveMessageOnPort(main); next !== undefined; next = receiveMessageOnPort(main)) {
      drain();
      take(next.message as ShardInput);
    }
    host.run();
  });
  return new Promise<never>(() => {});
};
