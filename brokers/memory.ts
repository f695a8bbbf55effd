import type { Bus, BusListener, BusOptions } from './bus.ts';
import { BusClosedError, BusFullError } from './bus.ts';
import { createOrdered } from './ordered.ts';
import { createRouter } from './router.ts';
import { filterProblem, invalidName, topicProblem } from './topic-rules.ts';

/** How many publications may wait while listeners run. */
const MAX_WAITING = 100_000;

const TAKEN = Promise.resolve();

interface Publication {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** The bus of a single process without a network: for simulation and tests. */
export const createMemoryBus = (options: BusOptions = {}): Bus => {
  let router = createRouter<BusListener>();
  let closed = false;
  const report = options.onError ?? (() => {});

  const ordered = createOrdered<Publication>((publication) => {
    for (const listener of router.match(publication.topic)) {
      try {
        listener(publication.topic, publication.payload);
      } catch (error) {
        report(error);
      }
    }
    ordered.reached(publication);
  }, MAX_WAITING);

  return {
    publish: (topic, payload) => {
      if (closed) return Promise.reject(new BusClosedError());
      const problem = topicProblem(topic);
      if (problem !== null) return Promise.reject(invalidName('topic', topic, problem));
      const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
      return ordered.push({ topic, payload: bytes }) ? TAKEN : Promise.reject(new BusFullError());
    },
    subscribe: (filter, listener) => {
      if (closed) throw new BusClosedError();
      const problem = filterProblem(filter);
      if (problem !== null) throw invalidName('filter', filter, problem);
      let live = true;
      const entry: BusListener = (topic, payload) => {
        if (live && !closed) listener(topic, payload);
      };
      router.add(filter, entry);
      return () => {
        if (!live) return;
        live = false;
        router.remove(filter, entry);
      };
    },
    watched: (topic) => router.matchesAny(topic),
    close: () => {
      closed = true;
      router = createRouter();
      return TAKEN;
    },
  };
};
