/** How many logical shards there are: the unit of ownership and fencing. Never changes for a data directory. */
export const SHARDS = 64;

/**
 * The shard of a session: FNV-1a over the id, so that every thread and every release agrees. The end of an id is
 * random, so sessions spread evenly.
 */
export const shardOf = (session: string): number => {
  let hash = 0x811c9dc5;
  for (let index = 0; index < session.length; index++) {
    hash = Math.imul(hash ^ session.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) % SHARDS;
};

/** The shards that worker `index` of `workers` owns. */
export const shardsOf = (index: number, workers: number): number[] =>
  Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => shard % workers === index);
