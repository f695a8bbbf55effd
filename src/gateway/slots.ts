/** A bounded number of places, for long-polls and streams together (contract, section 2, "Bounds"). */
export interface Slots {
  /** A function that gives the place back, once; null when all are taken. */
  take(): (() => void) | null;
  taken(): number;
}

export const createSlots = (limit: number): Slots => {
  let taken = 0;
  return {
    take: () => {
      if (taken >= limit) return null;
      taken += 1;
      let held = true;
      return () => {
        if (held) taken -= 1;
        held = false;
      };
    },
    taken: () => taken,
  };
};
