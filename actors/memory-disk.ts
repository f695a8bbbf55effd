import { randomBytes } from 'node:crypto';
import { type AuditCheckpoint, chainAudit, EMPTY_CHAIN } from './audit-chain.ts';
import { type OutMessage, REMEMBERED_LIMIT, type StoredKey } from './journal.ts';
import type { ShardHead } from './journal-verdicts.ts';
import type { StoredAudit } from './reads.ts';
import type { TurnRecord } from './turn-record.ts';

export interface MemoryActor {
  readonly key: string;
  readonly shard: number;
  readonly version: number;
  readonly state: string;
  readonly done: boolean;
  /** When it ended, in ms since the epoch. */
  readonly ended: number | null;
  readonly deadline: number | null;
  readonly waits: string | null;
  readonly label: string | null;
  readonly context: string;
}

interface MemorySession {
  /** The newest time in it, in ms since the epoch: it never falls. */
  until: number;
  /** How many events were pruned; the first that is left follows them. */
  forgotten: number;
  events: { readonly type: string; readonly json: string; readonly until: number }[];
  remembered: (readonly [key: string, json: string, until: number])[];
}

interface MemoryOut extends OutMessage {
  readonly from: number;
  readonly to: number;
}

/** What outlives a journal in memory: the disk of a simulation. One journal at a time uses it. */
export interface MemoryDisk {
  readonly heads: Map<number, ShardHead>;
  readonly read: Map<number, Record<string, number>>;
  readonly sent: Map<number, Record<string, number>>;
  readonly actors: Map<string, MemoryActor>;
  /** Keys of actors by their aliases. */
  readonly aliases: Map<string, string>;
  readonly sessions: Map<string, MemorySession>;
  readonly keys: Map<string, StoredKey>;
  readonly auditKey: Uint8Array;
  audit: StoredAudit[];
  checkpoint: AuditCheckpoint | null;
  /** Executions whose artifacts still have to go. */
  readonly unlinking: Set<string>;
  outbox: MemoryOut[];
  /** The time of the latest turn. */
  latest: number;
  /** Commits that were written though their caller was told that they failed: they show with the next claim. */
  unseen: (() => void)[];
}

export const createMemoryDisk = (): MemoryDisk => ({
  heads: new Map(),
  read: new Map(),
  sent: new Map(),
  actors: new Map(),
  aliases: new Map(),
  sessions: new Map(),
  keys: new Map(),
  auditKey: randomBytes(32),
  audit: [],
  checkpoint: null,
  unlinking: new Set(),
  outbox: [],
  latest: 0,
  unseen: [],
});

/** Chains entries of the audit, as JSON, to those that are there. */
export const recordAudit = ({ audit, auditKey, checkpoint }: MemoryDisk, texts: readonly string[]): void => {
  audit.push(...chainAudit(auditKey, audit.at(-1) ?? checkpoint ?? EMPTY_CHAIN, texts));
};

/** Writes a turn. Throws a `RangeError` where an event does not follow the last. */
export const applyTurn = (disk: MemoryDisk, { head, contexts, events, out, remembered }: TurnRecord): void => {
  const { shard, at } = head;
  disk.latest = Math.max(disk.latest, at);
  disk.read.set(shard, { ...disk.read.get(shard), ...head.read });
  disk.outbox = disk.outbox.filter(({ from, to, n }) => to !== shard || n > (head.read[from] ?? 0));
  for (const [index, snapshot] of head.snapshots.entries()) {
    const [key, version, state, done, deadline, waits, label, aliases = []] = snapshot;
    const context = contexts[index] as string;
    const ended = done === 1 ? at : null;
    disk.actors.set(key, { key, shard, version, state, done: done === 1, ended, deadline, waits, label, context });
    for (const alias of aliases) if (!disk.aliases.has(alias)) disk.aliases.set(alias, key);
  }
  for (const [index, [session, seq, type]] of head.events.entries()) {
    const known = sessionOf(disk, session, at);
    const last = known.forgotten + known.events.length;
    if (seq !== last + 1) throw new RangeError(`${session}: event ${seq} follows event ${last}`);
    known.events.push({ type, json: events[index] as string, until: known.until });
  }
  for (const [index, [to, n, key]] of head.out.entries()) {
    disk.outbox.push({ from: shard, to, n, key, text: out[index] as string });
    disk.sent.set(shard, { ...disk.sent.get(shard), [to]: n });
  }
  for (const [index, [session, key]] of head.remembered.entries()) {
    const { remembered: answers, until } = sessionOf(disk, session, at);
    answers.push([key, remembered[index] as string, until]);
    if (answers.length > REMEMBERED_LIMIT) answers.shift();
  }
};

const sessionOf = (disk: MemoryDisk, session: string, at: number): MemorySession => {
  let known = disk.sessions.get(session);
  if (known === undefined) disk.sessions.set(session, (known = { until: 0, forgotten: 0, events: [], remembered: [] }));
  known.until = Math.max(known.until, at);
  return known;
};

/** Order by code unit, as SQLite's BINARY collation has it for the characters of ids. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
