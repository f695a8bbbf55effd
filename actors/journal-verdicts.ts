import type { TurnText, Verdict } from './journal.ts';

/** The last accepted of a shard. */
export interface ShardHead {
  readonly epoch: number;
  readonly turn: number;
}

/** What a group of turns comes to; `ahead` holds the heads as they are once `accepted` is durable. */
export interface Judged {
  readonly verdicts: readonly Verdict[];
  readonly accepted: readonly string[];
  /** The audit of the accepted turns, in their order. */
  readonly audit: readonly string[];
  readonly ahead: ReadonlyMap<number, ShardHead>;
}

/** A shard that was never claimed has epoch 0, which no turn can carry. */
const UNCLAIMED: ShardHead = { epoch: 0, turn: 0 };

/**
 * Which turns of a group are accepted (ring, rule 1): those of the shard's current epoch that follow its last one,
 * turns earlier in the group included. A refused turn does not touch the others.
 */
export const judge = (turns: readonly TurnText[], heads: ReadonlyMap<number, ShardHead>): Judged => {
  const ahead = new Map<number, ShardHead>();
  const accepted: string[] = [];
  const entries: string[] = [];
  const verdicts = turns.map(({ shard, epoch, turn, text, audit }): Verdict => {
    const head = ahead.get(shard) ?? heads.get(shard) ?? UNCLAIMED;
    if (head.epoch === 0 || epoch !== head.epoch) return 'fenced';
    if (turn !== head.turn + 1) return 'gap';
    ahead.set(shard, { epoch, turn });
    accepted.push(text);
    if (audit !== undefined) entries.push(...audit);
    return 'committed';
  });
  return { verdicts, accepted, audit: entries, ahead };
};
