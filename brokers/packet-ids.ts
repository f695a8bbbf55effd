const HIGHEST = 65_535;

/** Packet identifiers towards one client: never zero, never one that is in use [MQTT-2.3.1-1], [MQTT-2.3.1-4]. */
export interface PacketIds {
  /** A free identifier, now in use; null where as many as allowed are. */
  take(): number | null;
  /** Marks one that a resumed session still uses. */
  hold(id: number): void;
  free(id: number): void;
  full(): boolean;
}

export const createPacketIds = (limit: number): PacketIds => {
  const used = new Set<number>();
  const most = Math.min(limit, HIGHEST);
  let last = 0;
  return {
    take: () => {
      if (used.size >= most) return null;
      do {
        last = (last % HIGHEST) + 1;
      } while (used.has(last));
      used.add(last);
      return last;
    },
    hold: (id) => void used.add(id),
    free: (id) => void used.delete(id),
    full: () => used.size >= most,
  };
};
