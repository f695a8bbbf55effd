import type { Claim } from './journal.ts';
import { SHARDS } from './placement.ts';
import type { Input } from './shard-messages.ts';

/** The sender's name of everything that comes from the gateway and the agents. */
export const MAIN_SENDER = 'main';

export interface InboxOptions {
  /** Messages that may wait for one shard; above it there is no room. Half of them may be one session's. */
  readonly perShard: number;
  /** Sends to the worker that holds a shard. */
  readonly send: (shard: number, input: Input) => void;
  /** A message that has killed its worker twice is withdrawn: it is read without being taken. */
  readonly onWithdrawn: (text: string) => void;
}

/** What is known of a message until it is read. */
export interface InboxNote {
  /** Called once, when the turn that took it is committed. */
  readonly onRead?: (() => void) | undefined;
}

/**
 * The main thread's messages to the shards: numbered densely per shard and kept until a committed turn has read them, so
 * that a worker's death loses none (ring, rules 2 to 4). Numbers go on where the last process stopped.
 */
export interface Inbox {
  /** Whether the edge may push one more: one session's flood leaves room for the others on its shard. */
  hasRoom(shard: number, session: string): boolean;
  push(shard: number, key: string, text: string, note?: InboxNote): void;
  /** The shard begins an epoch: what it has not read is sent again. */
  claimed(claim: Claim): void;
  /** A turn is committed. */
  read(shard: number, n: number): void;
  /** The worker misses a number. */
  resend(shard: number, epoch: number): void;
  /** The worker died taking this message; the second time it is withdrawn. */
  died(shard: number, n: number): void;
  /** Empties every message that `test` picks, so that it is read and nothing happens. */
  withdraw(test: (text: string) => boolean): void;
  depth(): number;
}

interface Waiting {
  readonly key: string;
  text: string;
  readonly onRead: (() => void) | undefined;
  deaths: number;
}

interface Lane {
  epoch: number;
  /** Number of the first waiting message; 0 until the first claim says where numbers go on. */
  first: number;
  waiting: Waiting[];
  /** How many of them are each session's. */
  readonly bySession: Map<string, number>;
}

const DEADLY = 2;

/** The session of an actor's key, on the way of every message. */
const sessionOf = (key: string): string => key.slice(0, key.indexOf('/'));

export const createInbox = ({ perShard, send, onWithdrawn }: InboxOptions): Inbox => {
  const lanes = Array.from({ length: SHARDS }, (): Lane => ({ epoch: 0, first: 0, waiting: [], bySession: new Map() }));
  const lane = (shard: number): Lane => lanes[shard] as Lane;

  const dispatch = (shard: number, { epoch, first, waiting }: Lane, index: number): void => {
    const { key, text } = waiting[index] as Waiting;
    send(shard, [shard, epoch, MAIN_SENDER, first + index, key, text]);
  };
  const dispatchAll = (shard: number): void => {
    const at = lane(shard);
    for (const index of at.waiting.keys()) dispatch(shard, at, index);
  };
  const tally = ({ bySession }: Lane, key: string, by: number): void => {
    const session = sessionOf(key);
    const now = (bySession.get(session) ?? 0) + by;
    if (now > 0) bySession.set(session, now);
    else bySession.delete(session);
  };
  const drop = (at: Lane, n: number): void => {
    const count = Math.min(Math.max(n - at.first + 1, 0), at.waiting.length);
    if (count === 0) return;
    const read = at.waiting.splice(0, count);
    at.first += count;
    for (const { key, text } of read) if (text !== '') tally(at, key, -1);
    for (const { onRead } of read) onRead?.();
  };

  /** It keeps its number and is read as nothing; of its session's room it takes none any more. */
  const empty = (at: Lane, message: Waiting): void => {
    message.text = '';
    tally(at, message.key, -1);
  };

  return {
    hasRoom: (shard, session) => {
      const { waiting, bySession } = lane(shard);
      return waiting.length < perShard && (bySession.get(session) ?? 0) < Math.ceil(perShard / 2);
    },
    push: (shard, key, text, note) => {
      const at = lane(shard);
      tally(at, key, 1);
      at.waiting.push({ key, text, onRead: note?.onRead, deaths: 0 });
      if (at.epoch > 0) dispatch(shard, at, at.waiting.length - 1);
    },
    claimed: ({ shard, epoch, read }) => {
      const at = lane(shard);
      const last = read[MAIN_SENDER] ?? 0;
      at.epoch = epoch;
      if (at.first === 0) at.first = last + 1;
      else drop(at, last);
      dispatchAll(shard);
    },
    read: (shard, n) => drop(lane(shard), n),
    resend: (shard, epoch) => {
      if (lane(shard).epoch === epoch) dispatchAll(shard);
    },
    died: (shard, n) => {
      const at = lane(shard);
      const message = at.waiting[n - at.first];
      if (message === undefined || message.text === '') return;
      message.deaths += 1;
      if (message.deaths < DEADLY) return;
      onWithdrawn(message.text);
      empty(at, message);
    },
    withdraw: (test) => {
      for (const at of lanes) {
        for (const message of at.waiting) if (message.text !== '' && test(message.text)) empty(at, message);
      }
    },
    depth: () => lanes.reduce((sum, { waiting }) => sum + waiting.length, 0),
  };
};
