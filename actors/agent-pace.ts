/** Keeps messages at most so many a second. */
export interface Pace {
  /** Milliseconds until the next may go. In a hurry even spacing is given up, the limit is not. */
  wait(now: number, hurry: boolean): number;
  sent(now: number): void;
}

/** At most `perSecond` in any second, evenly spaced. Times in ms of any one clock. */
export const createPace = (perSecond: number): Pace => {
  const times: number[] = [];
  return {
    wait: (now, hurry) => {
      const last = times.at(-1);
      if (last === undefined) return 0;
      const spaced = hurry ? now : last + 1000 / perSecond;
      const limited = times.length < perSecond ? now : (times[0] as number) + 1000;
      return Math.max(0, spaced - now, limited - now);
    },
    sent: (now) => {
      times.push(now);
      if (times.length > perSecond) times.shift();
    },
  };
};
