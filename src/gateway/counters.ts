import { LRUCache } from 'lru-cache';
import { RateLimiterMemory } from 'rate-limiter-flexible';

/** One count that was made. */
export interface Counted {
  /** How often in the window, this one included. */
  readonly count: number;
  /** Seconds until the window ends, at least 1. */
  readonly endsIn: number;
  /** Takes it back, as long as its window lasts. */
  undo(): void;
}

/** Counts by key, each in windows that begin with the key's first. */
export interface Counters {
  count(key: string): Promise<Counted>;
  /** Where a key stands without counting; zero for one that is not known. */
  peek(key: string): Pick<Counted, 'count' | 'endsIn'>;
}

export interface CountersOptions {
  /** Seconds. */
  readonly window: number;
  /** Keys that are remembered; the one unused for longest is forgotten first. */
  readonly max: number;
  /** Milliseconds. */
  readonly now: () => number;
}

interface Window {
  readonly until: number;
  count: number;
}

/**
 * The library counts; what is kept beside it bounds the keys, follows the clock that is given, and can be asked without
 * waiting.
 */
export const createCounters = ({ window, max, now }: CountersOptions): Counters => {
  // Limits differ by key, so the library is not told any.
  const limiter = new RateLimiterMemory({ keyPrefix: '', points: Number.MAX_SAFE_INTEGER, duration: window });
  const windows = new LRUCache<string, Window>({
    max,
    dispose: (_, key, reason) => {
      if (reason === 'evict') void limiter.delete(key);
    },
  });
  const endsIn = ({ until }: Window): number => Math.max(1, Math.ceil((until - now()) / 1_000));

  const open = (key: string): Window => {
    const known = windows.get(key);
    if (known !== undefined && now() < known.until) return known;
    void limiter.delete(key);
    const opened = { until: now() + window * 1_000, count: 0 };
    windows.set(key, opened);
    return opened;
  };

  return {
    count: async (key) => {
      const current = open(key);
      current.count += 1;
      const { consumedPoints: count } = await limiter.penalty(key);
      return {
        count,
        endsIn: endsIn(current),
        undo: () => {
          if (windows.peek(key) !== current || now() >= current.until) return;
          current.count -= 1;
          void limiter.reward(key);
        },
      };
    },
    peek: (key) => {
      const known = windows.get(key);
      return known === undefined || now() >= known.until
        ? { count: 0, endsIn: 0 }
        : { count: known.count, endsIn: endsIn(known) };
    },
  };
};
