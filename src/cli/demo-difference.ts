import { isDeepStrictEqual } from 'node:util';
import type { Event } from '../../machines/event.ts';

/** What a client saw, against the log. */
export interface Sight {
  readonly label: string;
  /** The last `seq` before its view began. */
  readonly joinedAt: number;
  readonly seen: readonly Event[];
}

/** Where the log or a client's view of it has a hole, a double or another event; null where all agree. */
export const differenceOf = (log: readonly Event[], sights: readonly Sight[]): string | null => {
  const hole = log.findIndex(({ seq }, index) => seq !== index + 1);
  if (hole !== -1) return `the log has seq ${log[hole]?.seq} where ${hole + 1} belongs`;
  for (const { label, joinedAt, seen } of sights) {
    const expected = log.slice(joinedAt);
    for (let i = 0; i < Math.max(expected.length, seen.length); i += 1) {
      const [wanted, got] = [expected[i], seen[i]];
      if (wanted === undefined) return `${label} saw seq ${got?.seq}, which the log does not have`;
      if (got === undefined) return `${label} did not see seq ${wanted.seq} (${wanted.type})`;
      if (got.seq !== wanted.seq) return `${label} saw seq ${got.seq} where ${wanted.seq} belongs`;
      if (!isDeepStrictEqual(got, wanted)) return `${label} saw another event ${wanted.seq} than the log has`;
    }
  }
  return null;
};
