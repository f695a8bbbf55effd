import TinyQueue from 'tinyqueue';

/**
 * Absolute deadlines of many actors, one for each. Setting an actor's deadline again replaces it; the old entry stays in
 * the heap and is skipped when its time comes, so that moving a deadline costs a push and no search. Where most entries
 * are old ones, the heap is made anew: a session moves its deadline of days with everything that happens in it.
 */
export interface Timers {
  /** Sets or, with null, clears the deadline of `key` in milliseconds since the epoch. */
  set(key: string, at: number | null): void;
  /** Takes out the keys whose deadline is at or before `now`, earliest first, at most `limit`. */
  due(now: number, limit?: number): string[];
  /** The earliest deadline, or null. */
  next(): number | null;
  clear(): void;
  /** How many keys have a deadline. */
  count(): number;
  /** The deadlines, earliest first; costs their sorting. */
  list(): readonly (readonly [key: string, at: number])[];
  /** Entries held, old ones included. */
  size(): number;
}

interface Entry {
  readonly at: number;
  readonly key: string;
}

const order = (a: Entry, b: Entry): number => a.at - b.at || (a.key < b.key ? -1 : 1);

/** Old entries that are not worth making the heap anew. */
const SLACK = 1_024;

export const createTimers = (): Timers => {
  let heap = new TinyQueue<Entry>([], order);
  const armed = new Map<string, number>();

  const entries = (): Entry[] => [...armed].map(([key, at]) => ({ at, key }));

  const dropStale = (): Entry | undefined => {
    for (let top = heap.peek(); top !== undefined; top = heap.peek()) {
      if (armed.get(top.key) === top.at) return top;
      heap.pop();
    }
    return undefined;
  };

  return {
    set: (key, at) => {
      if (at === null) armed.delete(key);
      else if (armed.get(key) !== at) {
        armed.set(key, at);
        heap.push({ at, key });
        if (heap.length > 2 * armed.size + SLACK) heap = new TinyQueue(entries(), order);
      }
    },
    due: (now, limit = Infinity) => {
      const keys: string[] = [];
      for (let top = dropStale(); top !== undefined && top.at <= now && keys.length < limit; top = dropStale()) {
        heap.pop();
        armed.delete(top.key);
        keys.push(top.key);
      }
      return keys;
    },
    next: () => dropStale()?.at ?? null,
    clear: () => {
      heap = new TinyQueue<Entry>([], order);
      armed.clear();
    },
    count: () => armed.size,
    list: () =>
      entries()
        .toSorted(order)
        .map(({ key, at }) => [key, at] as const),
    size: () => heap.length,
  };
};
