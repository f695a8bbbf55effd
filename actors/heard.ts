import type { Reads } from './reads.ts';

/**
 * Whether the main thread has heard of everything that a read may show. The tables are filled by another thread, so a
 * read can be ahead of what was let out; what is decided by what was let out (who may still hear of a session) has to
 * catch up before the read is answered.
 */
export interface Heard {
  /** The main thread has let out this group, or has heard that it is in doubt. */
  group(group: number): void;
  /** Resolves when the news of all groups that there are until now has come; null where that is so already. */
  caughtUp(): Promise<void> | null;
}

/** `committed`: the group that the journal let go last, however far its news has come; numbers wrap at 32 bits. */
export const createHeard = (committed: () => number): Heard => {
  let heard = 0;
  let waiting: { readonly until: number; readonly resolve: () => void }[] = [];
  const isAhead = (group: number): boolean => ((group - heard) | 0) > 0;

  return {
    group: (group) => {
      heard = group | 0;
      if (waiting.length === 0) return;
      const over = waiting.filter(({ until }) => !isAhead(until));
      waiting = waiting.filter(({ until }) => isAhead(until));
      for (const { resolve } of over) resolve();
    },
    caughtUp: () => {
      const until = committed();
      return isAhead(until) ? new Promise((resolve) => waiting.push({ until, resolve })) : null;
    },
  };
};

/** Reads whose answers the main thread has caught up with. */
export const readsCaughtUp = (reads: Reads, heard: Heard): Reads =>
  Object.fromEntries(
    Object.entries(reads).map(([name, read]) => [
      name,
      async (...args: unknown[]) => {
        const value = await (read as (...args: unknown[]) => Promise<unknown>)(...args);
        await heard.caughtUp();
        return value;
      },
    ]),
  ) as unknown as Reads;
