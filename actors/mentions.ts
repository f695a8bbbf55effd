/** Which committed groups speak of what and are not in the tables yet: a read need not wait for others. */
export interface Mentions {
  add(group: number, mention: string): void;
  /** The tables follow the log up to this group. */
  settled(group: number): void;
  /** Whether a read of `mention`, or of anything with null, has to wait for the tables. */
  isOpen(mention: string | null): boolean;
}

/** Beyond this every read waits: the tables are far behind, and a precise answer is worth less than its memory. */
const BOUND = 100_000;

export const createMentions = (): Mentions => {
  const last = new Map<string, number>();
  let newest = 0;
  let done = 0;
  let overflown = false;

  return {
    add: (group, mention) => {
      newest = group;
      if (last.size >= BOUND && !last.has(mention)) overflown = true;
      else last.set(mention, group);
    },
    settled: (group) => {
      done = Math.max(done, group);
      if (done >= newest) {
        last.clear();
        overflown = false;
      }
    },
    isOpen: (mention) => {
      if (done >= newest) return false;
      return mention === null || overflown || (last.get(mention) ?? 0) > done;
    },
  };
};
