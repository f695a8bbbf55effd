/** Facts that come often and are told once a window: the first at once, the rest together when the window ends. */
export interface Merger<Fact> {
  /** Counts a fact with others of the same key. */
  add(key: string, fact: Fact): void;
  /** Tells what is still counted, and takes no more. */
  close(): void;
}

export interface MergerOptions<Fact> {
  /** Milliseconds of a window. */
  readonly windowMs: number;
  /** Keys that are counted at the same time; beyond it the oldest window ends early. Default 10,000. */
  readonly max?: number;
  /** `fact` is the last one, `count` how many it stands for; the counts add up to what was added. */
  readonly tell: (fact: Fact, count: number) => void;
}

interface Window<Fact> {
  fact: Fact;
  /** Not told yet. */
  count: number;
  readonly timer: NodeJS.Timeout;
}

export const createMerger = <Fact>({ windowMs, max = 10_000, tell }: MergerOptions<Fact>): Merger<Fact> => {
  /** In order of their beginning. */
  const windows = new Map<string, Window<Fact>>();
  let closed = false;

  const end = (key: string): Window<Fact> | undefined => {
    const window = windows.get(key);
    windows.delete(key);
    clearTimeout(window?.timer);
    if (window !== undefined && window.count > 0) tell(window.fact, window.count);
    return window;
  };

  const begin = (key: string, fact: Fact): void => {
    const timer = setTimeout(() => {
      const told = end(key);
      // What was told just now opens a window of its own, so that no two tellings are closer than one.
      if (told !== undefined && told.count > 0) begin(key, told.fact);
    }, windowMs);
    timer.unref();
    windows.set(key, { fact, count: 0, timer });
  };

  return {
    add: (key, fact) => {
      if (closed) return;
      const window = windows.get(key);
      if (window !== undefined) {
        window.fact = fact;
        window.count += 1;
        return;
      }
      const [oldest] = windows.keys();
      if (windows.size >= max && oldest !== undefined) end(oldest);
      begin(key, fact);
      tell(fact, 1);
    },
    close: () => {
      closed = true;
      for (const key of [...windows.keys()]) end(key);
    },
  };
};
