import { LRUCache } from 'lru-cache';

/** Who wants to hear that a client's or a key's right to be connected has ended (contract, section 6, "Revocation"). */
export interface Cuts {
  /**
   * Calls once, when this client is cut; at once where it lately was, so that nobody who was let in just before slips
   * through. Returns the way to end it.
   */
  on(client: string, listener: () => void): () => void;
  cut(client: string): void;
  /** Whether it lately was cut. */
  wasCut(client: string): boolean;
}

/** Clients that are remembered as cut, far longer than any request is on its way. */
const REMEMBERED = 10_000;

export const createCuts = (): Cuts => {
  const listeners = new Map<string, Set<() => void>>();
  const lately = new LRUCache<string, true>({ max: REMEMBERED });
  return {
    on: (client, listener) => {
      if (lately.has(client)) {
        listener();
        return () => {};
      }
      const own = listeners.get(client) ?? new Set();
      listeners.set(client, own.add(listener));
      return () => {
        own.delete(listener);
        if (own.size === 0 && listeners.get(client) === own) listeners.delete(client);
      };
    },
    cut: (client) => {
      lately.set(client, true);
      const own = listeners.get(client);
      listeners.delete(client);
      if (own !== undefined) for (const listener of own) listener();
    },
    wasCut: (client) => lately.has(client),
  };
};
