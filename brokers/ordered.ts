/**
 * One publication at a time: the next begins once the last has reached its subscribers. Without it, publications that
 * wait for a store of different speed overtake one another, and Aedes drops whatever comes late as a duplicate; and a
 * listener that publishes would show later listeners the answer before the question.
 */
export interface Ordered<T> {
  /** Begins now, or when those before have reached their subscribers; false where too many wait. */
  push(item: T): boolean;
  /** This item has reached its subscribers, or never will. Without effect where it is not the current one. */
  reached(item: T): void;
}

/** `begin` starts one item and calls `reached` with it, at once or later. It must not throw. */
export const createOrdered = <T>(begin: (item: T) => void, limit: number): Ordered<T> => {
  let current: T | null = null;
  let waiting: T[] = [];
  let next = 0;
  let draining = false;

  const drain = (): void => {
    // `reached` inside `begin` ends here again: the loop goes on instead of the stack.
    if (draining) return;
    draining = true;
    while (current === null && next < waiting.length) {
      current = waiting[next++] as T;
      begin(current);
    }
    if (next === waiting.length) {
      waiting = [];
      next = 0;
    } else if (next > 1024) {
      waiting = waiting.slice(next);
      next = 0;
    }
    draining = false;
  };

  return {
    push: (item) => {
      if (current === null && next === waiting.length) {
        current = item;
        begin(item);
        return true;
      }
      if (waiting.length - next >= limit) return false;
      waiting.push(item);
      return true;
    },
    reached: (item) => {
      if (current !== item) return;
      current = null;
      if (next < waiting.length) drain();
    },
  };
};
