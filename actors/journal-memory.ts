import { addressOf } from '../machines/address.ts';
import { type Claim, type Deadline, type Journal, StoreFailedError } from './journal.ts';
import { judge, type ShardHead } from './journal-verdicts.ts';
import { applyTurn, compare, createMemoryDisk, type MemoryDisk, recordAudit } from './memory-disk.ts';
import { pruneDisk } from './memory-prune.ts';
import { memoryReads } from './memory-reads.ts';
import { decodeTurns } from './turn-record.ts';

/** A write that a simulation may let fail. */
export type MemoryWrite = 'claim' | 'commit' | 'note' | 'keys' | 'prune';

export interface MemoryJournalOptions {
  /** Default a new, empty one. */
  readonly disk?: MemoryDisk;
  /** Called before each write; what it throws is the cause of the `StoreFailedError`, and nothing is written. */
  readonly beforeWrite?: (write: MemoryWrite) => void;
  /** The same after it, where all is written: its outcome is unknown to who asked. */
  readonly afterWrite?: (write: MemoryWrite) => void;
}

/** The journal in plain maps: nothing is durable beyond its {@link MemoryDisk}, everything is applied at once. */
export const createMemoryJournal = (options: MemoryJournalOptions = {}): Journal => {
  const { disk = createMemoryDisk(), beforeWrite, afterWrite } = options;
  let open = true;
  // Who opens a disk sees all that is on it.
  showUnseen(disk);

  const checkOpen = (): void => {
    if (!open) throw new StoreFailedError('the journal in memory is closed');
  };
  const write = <T>(what: MemoryWrite, work: () => T): T => {
    checkOpen();
    try {
      beforeWrite?.(what);
    } catch (cause) {
      throw new StoreFailedError('the journal in memory takes no writes', { cause });
    }
    const written = work();
    try {
      afterWrite?.(what);
    } catch (cause) {
      throw new StoreFailedError('the journal in memory does not know what it has written', { cause });
    }
    return written;
  };

  return {
    claim: async (shards) => {
      write('claim', () => {
        for (const shard of shards) {
          const { epoch, turn } = disk.heads.get(shard) ?? { epoch: 0, turn: 0 };
          disk.heads.set(shard, { epoch: epoch + 1, turn });
        }
      });
      showUnseen(disk);
      return shards.map((shard) => claimOf(disk, shard));
    },
    commit: async (turns) => {
      checkOpen();
      const { verdicts, accepted, audit, ahead } = judge(turns, disk.heads);
      if (accepted.length === 0) return verdicts;
      const records = accepted.flatMap(decodeTurns);
      const work = (): void => {
        for (const record of records) applyTurn(disk, record);
        recordAudit(disk, audit);
        // Where it shows late, the shard may be claimed anew already.
        for (const [shard, { epoch, turn }] of ahead)
          disk.heads.set(shard, { epoch: Math.max(epoch, disk.heads.get(shard)?.epoch ?? 0), turn });
      };
      let done = false;
      try {
        write('commit', () => (done = true));
      } catch (error) {
        if (done) disk.unseen.push(work);
        throw error;
      }
      work();
      return verdicts;
    },
    deadlines: async (shard, { after: [key, at], until, limit }) => {
      checkOpen();
      return [...disk.actors.values()]
        .flatMap((actor): Deadline[] =>
          actor.shard === shard && !actor.done && actor.deadline !== null ? [[actor.key, actor.deadline]] : [],
        )
        .filter((each) => each[1] <= until && byTime(each, [key, at]) > 0)
        .toSorted(byTime)
        .slice(0, limit);
    },
    load: async (session) => {
      checkOpen();
      const own = `${session}/session/${session}`;
      const actors = [...disk.actors.values()]
        .filter(({ key, done }) => addressOf(key).session === session && (!done || key === own))
        .toSorted((a, b) => compare(a.key, b.key))
        .map(({ key, version, state, done, context }) => ({ key, version, state, done, context }));
      const known = disk.sessions.get(session);
      const seq = known === undefined ? 0 : known.forgotten + known.events.length;
      return { session, seq, actors, remembered: newest(known?.remembered ?? []) };
    },
    outbox: async (from, to, after, limit) => {
      checkOpen();
      return disk.outbox
        .filter((message) => message.from === from && message.to === to && message.n > after)
        .toSorted((a, b) => a.n - b.n)
        .slice(0, limit)
        .map(({ n, key, text }) => ({ n, key, text }));
    },
    note: async (entries) => {
      checkOpen();
      const texts = entries.map((entry) => JSON.stringify(entry));
      if (texts.length === 0) return;
      write('note', () => recordAudit(disk, texts));
    },
    apply: async () => {
      checkOpen();
      return 0;
    },
    prune: async (limits) => write('prune', () => pruneDisk(disk, limits)),
    reads: memoryReads(disk, checkOpen),
    keys: {
      list: async () => {
        checkOpen();
        return [...disk.keys.values()].toSorted((a, b) => compare(a.id, b.id));
      },
      find: async (id) => {
        checkOpen();
        return disk.keys.get(id) ?? null;
      },
      put: async (key, entry) => {
        const texts = entry === undefined ? [] : [JSON.stringify(entry)];
        write('keys', () => {
          disk.keys.set(key.id, { ...key });
          recordAudit(disk, texts);
        });
      },
    },
    close: async () => {
      open = false;
    },
  };
};

const byTime = ([a, atA]: Deadline, [b, atB]: Deadline): number => atA - atB || compare(a, b);

const showUnseen = (disk: MemoryDisk): void => {
  for (const work of disk.unseen.splice(0)) work();
};

const claimOf = (disk: MemoryDisk, shard: number): Claim => {
  const { epoch, turn } = disk.heads.get(shard) as ShardHead;
  const live = [...disk.actors.values()]
    .filter((actor) => actor.shard === shard && !actor.done)
    .toSorted((a, b) => compare(a.key, b.key));
  return {
    shard,
    epoch,
    turn,
    read: { ...disk.read.get(shard) },
    sent: { ...disk.sent.get(shard) },
    waits: live.flatMap(({ key, waits }) => (waits === null ? [] : [[key, waits] as const])),
    senders: [...new Set(disk.outbox.filter(({ to }) => to === shard).map(({ from }) => from))].toSorted(
      (a, b) => a - b,
    ),
  };
};

/** An answer given anew counts as new. */
const newest = (
  answers: readonly (readonly [key: string, json: string, ...unknown[]])[],
): [key: string, json: string][] => {
  const last = new Map<string, string>();
  for (const [key, json] of answers) {
    last.delete(key);
    last.set(key, json);
  }
  return [...last];
};
