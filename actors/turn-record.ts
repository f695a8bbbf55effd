/**
 * What a turn makes durable, as text: one JSON header line and one JSON line for each body, so that snapshots, events
 * and messages are serialised once, in the shard, and are carried, logged, released and stored as they are.
 *
 * The lines after the header are, in this order: each snapshot's context, each event, each outgoing envelope, each
 * remembered answer. JSON text never contains a raw line feed, so a line is a safe frame.
 */
export interface TurnHead {
  readonly shard: number;
  readonly epoch: number;
  /** Dense per shard over all epochs, from 1. */
  readonly turn: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** How far each sender has been read with this turn; senders that did not advance are left out. */
  readonly read: Readonly<Record<string, number>>;
  readonly snapshots: readonly SnapshotHead[];
  readonly events: readonly EventHead[];
  readonly out: readonly OutHead[];
  readonly remembered: readonly RememberedHead[];
}

/** `[key, machine version, state, done, deadline in ms, waits, label, aliases]`; without the last where there are none */
export type SnapshotHead = readonly [
  key: string,
  version: number,
  state: string,
  done: 0 | 1,
  deadline: number | null,
  waits: string | null,
  label: string | null,
  aliases?: readonly string[],
];

/** `[session, seq, type, subject]` */
export type EventHead = readonly [session: string, seq: number, type: string, subject: string];

/** `[receiving shard, number, address key]`; numbers are dense per pair of shards, from 1. */
export type OutHead = readonly [to: number, n: number, key: string];

/** `[session, key, time in ms]` */
export type RememberedHead = readonly [session: string, key: string, at: number];

/** A header and the bodies that follow it. */
export interface TurnRecord {
  readonly head: TurnHead;
  readonly contexts: readonly string[];
  readonly events: readonly string[];
  readonly out: readonly string[];
  readonly remembered: readonly string[];
}

export const encodeTurn = (record: TurnRecord): string =>
  [JSON.stringify(record.head), ...record.contexts, ...record.events, ...record.out, ...record.remembered].join('\n');

/** Reads the records of one or more turns joined by line feeds. Throws `SyntaxError` where the text is not that. */
export const decodeTurns = (text: string): TurnRecord[] => {
  const lines = text.split('\n');
  const turns: TurnRecord[] = [];
  let at = 0;
  const take = (count: number): string[] => {
    if (at + count > lines.length) throw new SyntaxError(`a turn is cut off at line ${lines.length}`);
    const taken = lines.slice(at, at + count);
    at += count;
    return taken;
  };
  while (at < lines.length) {
    const head = JSON.parse(lines[at++] as string) as TurnHead;
    turns.push({
      head,
      contexts: take(head.snapshots.length),
      events: take(head.events.length),
      out: take(head.out.length),
      remembered: take(head.remembered.length),
    });
  }
  return turns;
};
