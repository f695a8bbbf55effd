import type { Envelope } from '../machines/message.ts';
import { createDeadlines, type DeadlineLimits, type Deadlines } from './deadlines.ts';
import type { Claim } from './journal.ts';
import type { Input } from './shard-messages.ts';

/** Something a shard is to take: a message of a sender, or an actor's own deadline. */
export type Step =
  | {
      readonly kind: 'input';
      readonly sender: string;
      readonly n: number;
      readonly key: string;
      readonly envelope: Envelope;
    }
  | { readonly kind: 'deadline'; readonly key: string };

/** A logical shard as its worker holds it. */
export interface Shard {
  readonly index: number;
  /** What the journal knows it by; 0 while it is being claimed. */
  epoch: number;
  turn: number;
  /** How far each sender is read with the turns taken so far. */
  readonly read: Map<string, number>;
  /** How far each sender has arrived: what is between is in the queue. */
  readonly arrived: Map<string, number>;
  /** Last number given to a message to each other shard. */
  readonly sent: Map<number, number>;
  /** Arrived in order, not yet taken. */
  queue: Step[];
  /** Senders that were ahead of the journal: their inputs of an epoch that is not open yet were dropped. */
  readonly early: Map<string, number>;
  /** Sessions asked of the journal; the shard waits for them so that no input overtakes another. */
  readonly loading: Set<string>;
  /** A session that the turn at the head of the queue turned out to need: nothing is taken until it is awake. */
  held: string | null;
  readonly deadlines: Deadlines;
  /** Actors whose deadline has come and whose session is asked for: nothing else waits for them. */
  due: string[];
}

export const createShard = (index: number, limits: DeadlineLimits): Shard => ({
  index,
  epoch: 0,
  turn: 0,
  read: new Map(),
  arrived: new Map(),
  sent: new Map(),
  queue: [],
  early: new Map(),
  loading: new Set(),
  held: null,
  deadlines: createDeadlines(limits),
  due: [],
});

export const isOpen = (shard: Shard): boolean => shard.epoch > 0;

/** Begins an epoch from what the journal knows. */
export const openShard = (shard: Shard, claim: Claim): void => {
  closeShard(shard);
  shard.epoch = claim.epoch;
  shard.turn = claim.turn;
  for (const [sender, n] of Object.entries(claim.read)) shard.read.set(sender, n);
  for (const [receiver, n] of Object.entries(claim.sent)) shard.sent.set(Number(receiver), n);
};

/** Ends the epoch: everything in memory may be ahead of the disk and is forgotten (ring, rule 9). */
export const closeShard = (shard: Shard): void => {
  shard.epoch = 0;
  shard.read.clear();
  shard.arrived.clear();
  shard.sent.clear();
  shard.queue = [];
  shard.loading.clear();
  shard.held = null;
  shard.deadlines.clear();
  shard.due = [];
};

/** Senders whose inputs of the epoch that has begun came too early: they have to send again. */
export const earlySenders = (shard: Shard): string[] =>
  [...shard.early].filter(([, epoch]) => epoch === shard.epoch).map(([sender]) => sender);

/**
 * Whether somebody speaks of a later epoch than the open one: a claim of this shard's dead worker was served after the
 * present one's, and whatever is decided here would be fenced.
 */
export const isSuperseded = (shard: Shard): boolean =>
  isOpen(shard) && [...shard.early.values()].some((epoch) => epoch > shard.epoch);

/**
 * Queues an input. Answers `gap` where a number is missing before it: the sender has to send again from there. Inputs of
 * another epoch and duplicates are dropped (ring, rule 3).
 */
export const accept = (shard: Shard, input: Input): 'taken' | 'dropped' | 'gap' => {
  const [, epoch, sender, n, key, text] = input;
  if (epoch !== shard.epoch) {
    if (epoch > Math.max(shard.epoch, shard.early.get(sender) ?? 0)) shard.early.set(sender, epoch);
    return 'dropped';
  }
  const next = (shard.arrived.get(sender) ?? shard.read.get(sender) ?? 0) + 1;
  if (n < next) return 'dropped';
  if (n > next) return 'gap';
  shard.arrived.set(sender, n);
  shard.queue.push({ kind: 'input', sender, n, key, envelope: text === '' ? NOTHING : (JSON.parse(text) as Envelope) });
  return 'taken';
};

/** A session that is just being opened has nothing to wake from: its id was drawn for this message. */
export const opensSession = ({ fresh, to }: Envelope): boolean => fresh === true && to.kind === 'session';

/** What a withdrawn message becomes: it is read, and nothing happens. */
const NOTHING: Envelope = {
  to: { session: 'ses_' as never, kind: 'nothing', id: '' },
  message: { type: 'nothing' },
};
