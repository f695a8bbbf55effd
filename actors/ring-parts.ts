import { createJournalClient, type JournalClient, type JournalClientOptions } from './journal-client.ts';
import type { Reads } from './reads.ts';
import { createShardPool, type ShardPool, type ShardPoolOptions } from './shard-pool.ts';
import type { Settle } from './sqlite-event-reads.ts';
import { createSqliteReads } from './sqlite-reads.ts';

/** What the ring is laid over: where its shards and its journal run. A simulation has them all in one thread. */
export interface RingParts {
  readonly journal: (options: Pick<JournalClientOptions, 'onNotice' | 'onExit'>) => Promise<JournalClient>;
  readonly pool: (options: ShardPoolOptions) => ShardPool;
  readonly reads: (settle: Settle) => Reads & { close(): void };
}

/** Threads, and a journal in `directory`. */
export const threadedParts = (directory: string): RingParts => ({
  journal: (options) => createJournalClient({ directory, ...options }),
  pool: createShardPool,
  reads: (settle) => createSqliteReads({ directory, settle }),
});
