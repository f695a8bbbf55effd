import type { Claim, OutMessage } from './journal.ts';
import type { Input } from './shard-messages.ts';
import type { TurnRecord } from './turn-record.ts';

export interface OutboxesOptions {
  /** Messages of a pair of shards that may be under way; the rest stays in the journal's outbox (ring, rule 10). */
  readonly inFlight: number;
  readonly send: (shard: number, input: Input) => void;
  readonly fetch: (from: number, to: number, after: number, limit: number) => Promise<readonly OutMessage[]>;
  readonly onError: (error: unknown) => void;
  /** Calls a task after a pause: an outbox that could not be read is tried again. */
  readonly later: (task: () => void) => void;
}

/** Carries committed messages from shard to shard. Holds no message: what is not under way is in the journal. */
export interface Outboxes {
  /** A turn is committed: sends what it says, and follows up where it has read. */
  released(record: TurnRecord): void;
  /** The receiver begins an epoch: everything it has not read is sent again. */
  claimed(claim: Claim): void;
  /** The receiver misses a number of this sender. */
  resend(from: number, to: number): void;
}

interface Pair {
  readonly from: number;
  readonly to: number;
  read: number;
  sent: number;
  /** Something is in the outbox that was not sent. */
  behind: boolean;
  fetching: boolean;
  /** Grows with each restart: what was fetched before is not what is wanted now. */
  generation: number;
}

export const createOutboxes = ({ inFlight, send, fetch, onError, later }: OutboxesOptions): Outboxes => {
  const pairs = new Map<string, Pair>();
  const epochs = new Map<number, number>();

  const pairOf = (from: number, to: number): Pair => {
    const name = `${from} ${to}`;
    let pair = pairs.get(name);
    if (pair === undefined)
      pairs.set(name, (pair = { from, to, read: 0, sent: 0, behind: true, fetching: false, generation: 0 }));
    return pair;
  };

  const forward = (pair: Pair, { n, key, text }: OutMessage): void => {
    const epoch = epochs.get(pair.to);
    if (epoch === undefined || n !== pair.sent + 1 || pair.sent - pair.read >= inFlight) {
      pair.behind ||= n > pair.sent;
      return;
    }
    pair.sent = n;
    send(pair.to, [pair.to, epoch, String(pair.from), n, key, text]);
  };

  const follow = async (pair: Pair): Promise<void> => {
    if (!pair.behind || pair.fetching || pair.sent - pair.read >= inFlight) return;
    pair.fetching = true;
    const { generation } = pair;
    const room = inFlight - (pair.sent - pair.read);
    try {
      const messages = await fetch(pair.from, pair.to, pair.sent, room);
      if (pair.generation !== generation) return;
      pair.behind = messages.length === room;
      for (const message of messages) forward(pair, message);
    } finally {
      pair.fetching = false;
      if (pair.generation !== generation) followLater(pair);
    }
  };
  const followLater = (pair: Pair): void =>
    void follow(pair).catch((error: unknown) => {
      onError(error);
      later(() => followLater(pair));
    });

  const restart = (from: number, to: number, read: number): void => {
    const pair = pairOf(from, to);
    pair.read = read;
    pair.sent = read;
    pair.behind = true;
    pair.generation += 1;
    followLater(pair);
  };

  return {
    released: ({ head, out }) => {
      for (const [index, [to, n, key]] of head.out.entries()) {
        const pair = pairOf(head.shard, to);
        forward(pair, { n, key, text: out[index] as string });
        followLater(pair);
      }
      for (const [sender, n] of Object.entries(head.read)) {
        const from = Number(sender);
        if (!Number.isInteger(from)) continue;
        const pair = pairOf(from, head.shard);
        pair.read = n;
        followLater(pair);
      }
    },
    claimed: ({ shard, epoch, read, senders }) => {
      epochs.set(shard, epoch);
      for (const sender of new Set([...Object.keys(read), ...senders.map(String)])) {
        const from = Number(sender);
        if (Number.isInteger(from)) restart(from, shard, read[sender] ?? 0);
      }
    },
    resend: (from, to) => restart(from, to, pairOf(from, to).read),
  };
};
