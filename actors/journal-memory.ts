import { addressOf } from '../machines/address.ts';
import type { SessionId } from '../machines/id.ts';
import { createPageBuilder, pageLimit } from './event-page.ts';
import {
  type Claim,
  type Journal,
  type OutMessage,
  REMEMBERED_LIMIT,
  StoreFailedError,
  type StoredKey,
} from './journal.ts';
import { judge, type ShardHead } from './journal-verdicts.ts';
import type { Reads, StoredActor } from './reads.ts';
import { decodeTurns, type TurnRecord } from './turn-record.ts';

interface MemoryActor {
  readonly key: string;
  readonly shard: number;
  readonly version: number;
  readonly state: string;
  readonly done: boolean;
  readonly deadline: number | null;
  readonly waits: string | null;
  readonly label: string | null;
  readonly context: string;
}

interface MemorySession {
  readonly events: { readonly type: string; readonly json: string }[];
  readonly remembered: (readonly [key: string, json: string])[];
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
  readonly sessions: Map<string, MemorySession>;
  readonly keys: Map<string, StoredKey>;
  outbox: MemoryOut[];
}

export const createMemoryDisk = (): MemoryDisk => ({
  heads: new Map(),
  read: new Map(),
  sent: new Map(),
  actors: new Map(),
  sessions: new Map(),
  keys: new Map(),
  outbox: [],
});

/** A write that a simulation may let fail. */
export type MemoryWrite = 'claim' | 'commit' | 'keys';

export interface MemoryJournalOptions {
  /** Default a new, empty one. */
  readonly disk?: MemoryDisk;
  /** Called before each write; what it throws is the cause of the `StoreFailedError`, and nothing is written. */
  readonly beforeWrite?: (write: MemoryWrite) => void;
}

/** The journal in plain maps: nothing is durable beyond its {@link MemoryDisk}, everything is applied at once. */
export const createMemoryJournal = (options: MemoryJournalOptions = {}): Journal => {
  const { disk = createMemoryDisk(), beforeWrite } = options;
  let open = true;

  const checkOpen = (): void => {
    if (!open) throw new StoreFailedError('the journal in memory is closed');
  };
  const checkWrite = (write: MemoryWrite): void => {
    checkOpen();
    try {
      beforeWrite?.(write);
    } catch (cause) {
      throw new StoreFailedError('the journal in memory takes no writes', { cause });
    }
  };

  return {
    claim: async (shards) => {
      checkWrite('claim');
      return shards.map((shard) => claim(disk, shard));
    },
    commit: async (turns) => {
      checkOpen();
      const { verdicts, accepted, ahead } = judge(turns, disk.heads);
      if (accepted.length === 0) return verdicts;
      const records = accepted.flatMap(decodeTurns);
      checkWrite('commit');
      for (const record of records) applyTurn(disk, record);
      for (const [shard, head] of ahead) disk.heads.set(shard, head);
      return verdicts;
    },
    load: async (session) => {
      checkOpen();
      const own = `${session}/session/${session}`;
      const actors = [...disk.actors.values()]
        .filter(({ key, done }) => addressOf(key).session === session && (!done || key === own))
        .toSorted((a, b) => compare(a.key, b.key))
        .map(({ key, version, state, done, context }) => ({ key, version, state, done, context }));
      const known = disk.sessions.get(session);
      return { session, seq: known?.events.length ?? 0, actors, remembered: newest(known?.remembered ?? []) };
    },
    outbox: async (from, to, after, limit) => {
      checkOpen();
      return disk.outbox
        .filter((message) => message.from === from && message.to === to && message.n > after)
        .toSorted((a, b) => a.n - b.n)
        .slice(0, limit)
        .map(({ n, key, text }) => ({ n, key, text }));
    },
    apply: async () => {
      checkOpen();
      return false;
    },
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
      put: async (key) => {
        checkWrite('keys');
        disk.keys.set(key.id, { ...key });
      },
    },
    close: async () => {
      open = false;
    },
  };
};

/** Order by code unit, as SQLite's BINARY collation has it for the characters of ids. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const claim = (disk: MemoryDisk, shard: number): Claim => {
  const head = disk.heads.get(shard) ?? { epoch: 0, turn: 0 };
  const epoch = head.epoch + 1;
  disk.heads.set(shard, { epoch, turn: head.turn });
  const live = [...disk.actors.values()]
    .filter((actor) => actor.shard === shard && !actor.done)
    .toSorted((a, b) => (a.deadline ?? -Infinity) - (b.deadline ?? -Infinity) || compare(a.key, b.key));
  return {
    shard,
    epoch,
    turn: head.turn,
    read: { ...disk.read.get(shard) },
    sent: { ...disk.sent.get(shard) },
    deadlines: live.flatMap(({ key, deadline }) => (deadline === null ? [] : [[key, deadline] as const])),
    waits: live.flatMap(({ key, waits }) => (waits === null ? [] : [[key, waits] as const])),
    senders: [...new Set(disk.outbox.filter(({ to }) => to === shard).map(({ from }) => from))].toSorted(
      (a, b) => a - b,
    ),
  };
};

const applyTurn = (disk: MemoryDisk, { head, contexts, events, out, remembered }: TurnRecord): void => {
  const { shard } = head;
  disk.read.set(shard, { ...disk.read.get(shard), ...head.read });
  disk.outbox = disk.outbox.filter(({ from, to, n }) => to !== shard || n > (head.read[from] ?? 0));
  for (const [index, [key, version, state, done, deadline, waits, label]] of head.snapshots.entries()) {
    const context = contexts[index] as string;
    disk.actors.set(key, { key, shard, version, state, done: done === 1, deadline, waits, label, context });
  }
  for (const [index, [session, seq, type]] of head.events.entries()) {
    const log = sessionOf(disk, session).events;
    if (seq !== log.length + 1) throw new RangeError(`${session}: event ${seq} follows event ${log.length}`);
    log.push({ type, json: events[index] as string });
  }
  for (const [index, [to, n, key]] of head.out.entries()) {
    disk.outbox.push({ from: shard, to, n, key, text: out[index] as string });
    disk.sent.set(shard, { ...disk.sent.get(shard), [to]: n });
  }
  for (const [index, [session, key]] of head.remembered.entries()) {
    const answers = sessionOf(disk, session).remembered;
    answers.push([key, remembered[index] as string]);
    if (answers.length > REMEMBERED_LIMIT) answers.shift();
  }
};

const sessionOf = (disk: MemoryDisk, session: string): MemorySession => {
  let known = disk.sessions.get(session);
  if (known === undefined) disk.sessions.set(session, (known = { events: [], remembered: [] }));
  return known;
};

/** An answer given anew counts as new. */
const newest = (answers: MemorySession['remembered']): [key: string, json: string][] => {
  const last = new Map<string, string>();
  for (const [key, json] of answers) {
    last.delete(key);
    last.set(key, json);
  }
  return [...last];
};

const memoryReads = (disk: MemoryDisk, checkOpen: () => void): Reads => {
  const pick = (
    limit: number,
    after: string,
    matches: (actor: MemoryActor, kind: string) => boolean,
  ): StoredActor[] => {
    checkOpen();
    return [...disk.actors.values()]
      .filter((actor) => matches(actor, addressOf(actor.key).kind) && addressOf(actor.key).id > after)
      .toSorted((a, b) => compare(addressOf(a.key).id, addressOf(b.key).id))
      .slice(0, pageLimit(limit))
      .map(storedActor);
  };
  return {
    actor: async (key) => {
      checkOpen();
      const actor = disk.actors.get(key);
      return actor === undefined ? null : storedActor(actor);
    },
    actors: async (session, kind, { after = '', limit }) =>
      pick(limit, after, (actor, its) => its === kind && addressOf(actor.key).session === session),
    find: async (kind, id) => pick(1, '', (actor, its) => its === kind && addressOf(actor.key).id === id)[0] ?? null,
    labelled: async (kind, label, { after = '', limit }) =>
      pick(limit, after, (actor, its) => its === kind && actor.label === label),
    events: async (session: SessionId, { after, limit, types }) => {
      checkOpen();
      const log = disk.sessions.get(session)?.events ?? [];
      const page = createPageBuilder(after, limit);
      for (const [index, { type, json }] of log.entries()) {
        const seq = index + 1;
        if (seq <= after) continue;
        if (types !== undefined && !types.includes(type)) page.pass(seq);
        else if (!page.add(seq, json)) break;
      }
      return page.finish(1, log.length);
    },
  };
};

const storedActor = ({ key, state, done, context }: MemoryActor): StoredActor => ({
  ...addressOf(key),
  key,
  state,
  done,
  context: JSON.parse(context) as Record<string, unknown>,
});
