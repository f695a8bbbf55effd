import { topicMatches } from '../machines/topic.ts';
import type { StoredPacket } from './store.ts';

/** The last retained publication of each topic (MQTT 3.1.1, 3.3.1.3). */
export interface Retained {
  /** Keeps or, with an empty payload, forgets; false where there is no room for another topic. */
  keep(packet: StoredPacket): boolean;
  matching(filters: readonly string[]): StoredPacket[];
}

export const createRetained = (limit: number): Retained => {
  const kept = new Map<string, StoredPacket>();
  return {
    keep: (packet) => {
      if (packet.payload.length === 0) {
        kept.delete(packet.topic);
        return true;
      }
      if (kept.size >= limit && !kept.has(packet.topic)) return false;
      kept.set(packet.topic, packet);
      return true;
    },
    matching: (filters) =>
      filters.flatMap((filter) => [...kept.values()].filter((packet) => topicMatches(filter, packet.topic))),
  };
};
