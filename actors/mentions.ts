/** Which committed groups speak of what and are not in the tables yet: a read need not wait for others. */
export interface Mentions {
  add(group: number, mention: string): void;
  /** The tables follow the log up to this group. */
  settled(group: number): void;
  /** Whether a read of `mention`, or of anything with null, has to wait for the tables. */
  isOpen(mention: string | null): boolean;
  /** How many are remembered. */
  size(): number;
}

/** Beyond this every read waits: the tables are far behind, and a precise answer is worth less than its memory. */
const BOUND = 100_000;

export const createMentions = (): Mentions => {
  /** In order of the groups. */
  const last = new Map<string, number>();
  let newest = 0;
  let done = 0;
  /** The last group of which something is not remembered. */
  let unknown = 0;

  return {
    add: (group, mention) => {
      newest = Math.max(newest, group);
      if (!last.delete(mention) && last.size >= BOUND) unknown = group;
      else last.set(mention, group);
    },
    settled: (group) => {
      done = Math.max(done, group);
      for (const [mention, at] of last) {
        if (at > done) break;
        last.delete(mention);
      }
    },
    isOpen: (mention) => {
      if (done >= newest) return false;
      return mention === null || unknown > done || (last.get(mention) ?? 0) > done;
    },
    size: () => last.size,
  };
};
