/** Work that waits for its turn. */
export interface Job {
  /** Never rejects; the place is free when it resolves. */
  start(): Promise<void>;
  /** Called instead of `start`, where the queue is emptied before its turn. */
  drop(): void;
}

/**
 * Bounds what is under way by key and in all, and goes round the keys that wait: a key with much to do, or slow at it,
 * takes places of its own only. Holds whatever is added, so whoever adds bounds it.
 */
export interface FairQueue {
  add(key: string, job: Job): void;
  /** Drops what waits, in the order it came by key. What is under way goes on. */
  clear(): void;
}

interface Lane {
  readonly jobs: Job[];
  underWay: number;
  /** Whether it is in the round, which it is exactly while it has a job and a place of its own for it. */
  inRound: boolean;
}

/** `perKey` and `total` are how many jobs may be under way at most. */
export const createFairQueue = ({ perKey, total }: { perKey: number; total: number }): FairQueue => {
  const lanes = new Map<string, Lane>();
  const round: string[] = [];
  let underWay = 0;

  const enter = (key: string, lane: Lane): void => {
    lane.inRound = lane.jobs.length > 0 && lane.underWay < perKey;
    if (lane.inRound) round.push(key);
  };
  const run = async (key: string, lane: Lane, job: Job): Promise<void> => {
    underWay += 1;
    lane.underWay += 1;
    await job.start();
    underWay -= 1;
    lane.underWay -= 1;
    if (!lane.inRound) enter(key, lane);
    if (lane.underWay === 0 && lane.jobs.length === 0) lanes.delete(key);
    startNext();
  };
  const startNext = (): void => {
    while (underWay < total) {
      const key = round.shift();
      const lane = key === undefined ? undefined : lanes.get(key);
      const job = lane?.jobs.shift();
      if (key === undefined || lane === undefined || job === undefined) return;
      void run(key, lane, job);
      enter(key, lane);
    }
  };

  return {
    add: (key, job) => {
      const lane = lanes.get(key) ?? { jobs: [], underWay: 0, inRound: false };
      lanes.set(key, lane);
      lane.jobs.push(job);
      if (!lane.inRound) enter(key, lane);
      startNext();
    },
    clear: () => {
      round.length = 0;
      for (const [key, lane] of lanes) {
        lane.inRound = false;
        for (const job of lane.jobs.splice(0)) job.drop();
        if (lane.underWay === 0) lanes.delete(key);
      }
    },
  };
};
