import type { DatabaseSync } from 'node:sqlite';
import { addressOf } from '../machines/address.ts';
import { REMEMBERED_LIMIT } from './journal.ts';
import type { LogRow } from './sqlite-log.ts';
import { decodeTurns, type SnapshotHead, type TurnRecord } from './turn-record.ts';

type Numbers = Record<string, number>;

/** What the journal keeps of a shard besides its epoch. */
export interface ShardProgress {
  readonly turn: number;
  readonly read: Readonly<Numbers>;
  readonly sent: Readonly<Numbers>;
}

/** What a chunk of the log comes to, with everything that was overwritten inside the chunk left out. */
interface Chunk {
  /** When the last of its turns was taken. */
  at: number;
  readonly shards: Map<number, ShardChange>;
  readonly actors: Map<string, { shard: number; at: number; head: SnapshotHead; context: string }>;
  readonly sessions: Map<string, SessionPack>;
  /** The key of the first actor with each alias. */
  readonly aliases: Map<string, string>;
  /** By receiver and sender. */
  readonly outbox: Map<string, { key: string; n: number; text: string }[]>;
  readonly taken: Map<string, { receiver: number; sender: number; n: number }>;
}

interface ShardChange {
  turn: number;
  readonly read: Numbers;
  readonly sent: Numbers;
}

interface SessionPack {
  first: number;
  /** The newest time in it, in ms since the epoch. */
  until: number;
  readonly types: string[];
  readonly events: string[];
  readonly remembered: string[];
}

interface SessionRow {
  readonly seq: number;
  readonly remembered: number;
  readonly until: number;
}

/** Fills the tables from rows of the log. Runs inside the caller's transaction. */
export interface Applier {
  /** Returns how far each shard that occurs has come, for the caller to keep once the transaction is committed. */
  apply(rows: readonly LogRow[], known: (shard: number) => ShardProgress): Map<number, ShardProgress>;
}

export const createApplier = (db: DatabaseSync): Applier => {
  const putShard = db.prepare('UPDATE shards SET turn = ?, read = ?, sent = ? WHERE shard = ?');
  const putActor = db.prepare(`
    INSERT INTO actors (session, kind, id, shard, version, state, done, deadline, waits, label, context, ended)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (session, kind, id) DO UPDATE SET shard = excluded.shard, version = excluded.version,
      state = excluded.state, done = excluded.done, deadline = excluded.deadline, waits = excluded.waits,
      label = excluded.label, context = excluded.context, ended = excluded.ended`);
  const getSession = db.prepare('SELECT seq, remembered, until FROM sessions WHERE session = ?');
  const putSession = db.prepare(`
    INSERT INTO sessions (session, seq, remembered, until) VALUES (?, ?, ?, ?)
    ON CONFLICT (session) DO UPDATE SET seq = excluded.seq, remembered = excluded.remembered, until = excluded.until`);
  const addEvents = db.prepare(
    'INSERT INTO events (session, first, last, types, text, until) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const addRemembered = db.prepare('INSERT INTO remembered (session, first, last, text, until) VALUES (?, ?, ?, ?, ?)');
  const dropRemembered = db.prepare('DELETE FROM remembered WHERE session = ? AND last <= ?');
  const addAlias = db.prepare('INSERT OR IGNORE INTO aliases (alias, session, kind, id) VALUES (?, ?, ?, ?)');
  const addOut = db.prepare('INSERT INTO outbox (receiver, sender, n, key, text) VALUES (?, ?, ?, ?, ?)');
  const putTime = db.prepare(`
    INSERT INTO meta (name, value) VALUES ('at', ?)
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`);
  const dropOut = db.prepare('DELETE FROM outbox WHERE receiver = ? AND sender = ? AND n <= ?');

  const writeSession = (session: string, pack: SessionPack): void => {
    const row = getSession.get(session) as SessionRow | undefined;
    let { seq, remembered } = row ?? { seq: 0, remembered: 0 };
    // The wall may have been put back since.
    const until = Math.max(pack.until, row?.until ?? 0);
    if (pack.events.length > 0) {
      if (pack.first !== seq + 1) throw new RangeError(`${session}: event ${pack.first} follows event ${seq}`);
      seq += pack.events.length;
      addEvents.run(session, pack.first, seq, pack.types.join(' '), pack.events.join('\n'), until);
    }
    if (pack.remembered.length > 0) {
      const first = remembered + 1;
      remembered += pack.remembered.length / 2;
      addRemembered.run(session, first, remembered, pack.remembered.join('\n'), until);
      if (remembered > REMEMBERED_LIMIT) dropRemembered.run(session, remembered - REMEMBERED_LIMIT);
    }
    putSession.run(session, seq, remembered, until);
  };

  return {
    apply: (rows, known) => {
      const chunk = collect(rows);
      const progress = new Map<number, ShardProgress>();
      for (const [shard, { turn, read, sent }] of chunk.shards) {
        const before = known(shard);
        const next = { turn, read: { ...before.read, ...read }, sent: { ...before.sent, ...sent } };
        putShard.run(turn, JSON.stringify(next.read), JSON.stringify(next.sent), shard);
        progress.set(shard, next);
      }
      for (const [key, { shard, at, head, context }] of chunk.actors) {
        const { session, kind, id } = addressOf(key);
        const [, version, state, done, deadline, waits, label] = head;
        const ended = done === 1 ? at : null;
        putActor.run(session, kind, id, shard, version, state, done, deadline, waits, label, context, ended);
      }
      for (const [alias, key] of chunk.aliases) {
        const { session, kind, id } = addressOf(key);
        addAlias.run(alias, session, kind, id);
      }
      for (const [session, pack] of chunk.sessions) writeSession(session, pack);
      for (const { receiver, sender, n } of chunk.taken.values()) dropOut.run(receiver, sender, n);
      for (const [pair, messages] of chunk.outbox) {
        const [receiver, sender] = pair.split(' ').map(Number) as [number, number];
        for (const { n, key, text } of messages) addOut.run(receiver, sender, n, key, text);
      }
      putTime.run(chunk.at);
      return progress;
    },
  };
};

/** Throws a `RangeError` that names the row which is not what a commit writes. */
const collect = (rows: readonly LogRow[]): Chunk => {
  const chunk: Chunk = {
    at: 0,
    shards: new Map(),
    actors: new Map(),
    sessions: new Map(),
    aliases: new Map(),
    outbox: new Map(),
    taken: new Map(),
  };
  for (const { id, text } of rows) {
    try {
      for (const turn of decodeTurns(text)) collectTurn(chunk, turn);
    } catch (cause) {
      throw new RangeError(`log row ${id}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }
  return chunk;
};

const collectTurn = (chunk: Chunk, { head, contexts, events, out, remembered }: TurnRecord): void => {
  chunk.at = Math.max(chunk.at, head.at);
  const shard = at(chunk.shards, head.shard, (): ShardChange => ({ turn: 0, read: {}, sent: {} }));
  shard.turn = head.turn;
  for (const [sender, n] of Object.entries(head.read)) {
    shard.read[sender] = n;
    const from = Number(sender);
    // Senders outside the ring (the gateway, the agents) have no outbox.
    if (Number.isInteger(from)) takeUpTo(chunk, head.shard, from, n);
  }
  for (const [index, snapshot] of head.snapshots.entries()) {
    const [key, , , , , , , aliases] = snapshot;
    chunk.actors.set(key, { shard: head.shard, at: head.at, head: snapshot, context: contexts[index] as string });
    // Of every snapshot, not of the last alone: an alias that was given once stays.
    for (const alias of aliases ?? []) if (!chunk.aliases.has(alias)) chunk.aliases.set(alias, key);
  }
  for (const [index, [session, seq, type]] of head.events.entries()) {
    const pack = packOf(chunk, session, head.at);
    if (pack.events.length === 0) pack.first = seq;
    if (seq !== pack.first + pack.events.length) {
      throw new RangeError(`${session}: event ${seq} follows event ${pack.first + pack.events.length - 1}`);
    }
    pack.types.push(type);
    pack.events.push(events[index] as string);
  }
  for (const [index, [to, n, key]] of head.out.entries()) {
    shard.sent[to] = n;
    at(chunk.outbox, `${to} ${head.shard}`, () => []).push({ n, key, text: out[index] as string });
  }
  for (const [index, [session, key, time]] of head.remembered.entries()) {
    packOf(chunk, session, head.at).remembered.push(JSON.stringify([key, time]), remembered[index] as string);
  }
};

/** Messages that are sent and read within the chunk never reach the table. */
const takeUpTo = (chunk: Chunk, receiver: number, sender: number, n: number): void => {
  const pair = `${receiver} ${sender}`;
  chunk.taken.set(pair, { receiver, sender, n: Math.max(n, chunk.taken.get(pair)?.n ?? 0) });
  const waiting = chunk.outbox.get(pair);
  if (waiting !== undefined)
    chunk.outbox.set(
      pair,
      waiting.filter((message) => message.n > n),
    );
};

const packOf = (chunk: Chunk, session: string, time: number): SessionPack => {
  const pack = at(chunk.sessions, session, () => ({ first: 0, until: 0, types: [], events: [], remembered: [] }));
  pack.until = Math.max(pack.until, time);
  return pack;
};

const at = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
};
