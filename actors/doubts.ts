import type { EventPage, Reads } from './reads.ts';
import { decodeTurns } from './turn-record.ts';

/**
 * Events of turns whose commit failed and may be durable all the same. The tables may show them before anybody knows
 * (ring, rule 9): until their shard is claimed anew no read does, since nothing that follows from them was let out, who
 * may still hear of the session among it, and a store that fails may yet forget them.
 */
export interface Doubts {
  /** What the turns hold: one or more in each text. */
  add(texts: readonly string[]): void;
  /** An event was let out: whoever is told of it finds it. */
  released(session: string, seq: number): void;
  /** What became of the shard's turns is known, and what is durable of them was let out. */
  claimed(shard: number): void;
  /** The first event of the session that is in doubt. */
  firstOf(session: string): number | undefined;
}

export const createDoubts = (): Doubts => {
  const first = new Map<string, { readonly shard: number; readonly seq: number }>();
  return {
    add: (texts) => {
      for (const { head } of texts.flatMap(decodeTurns))
        for (const [session, seq] of head.events)
          if (!first.has(session)) first.set(session, { shard: head.shard, seq });
    },
    released: (session, seq) => {
      const doubt = first.get(session);
      if (doubt !== undefined) first.set(session, { ...doubt, seq: seq + 1 });
    },
    claimed: (shard) => {
      for (const [session, doubt] of first) if (doubt.shard === shard) first.delete(session);
    },
    firstOf: (session) => first.get(session)?.seq,
  };
};

const seqOf = (event: string): number => (JSON.parse(event) as { readonly seq: number }).seq;

const before = (seq: number, { events, next, first, last }: EventPage): EventPage => ({
  events: events.filter((event) => seqOf(event) < seq),
  next: next !== null && next < seq - 1 ? next : null,
  first,
  last: Math.min(last, seq - 1),
});

/** Reads that end before what is in doubt. */
export const withoutDoubtful = (reads: Reads, doubts: Doubts): Reads => ({
  ...reads,
  events: async (session, page) => {
    const found = await reads.events(session, page);
    const seq = doubts.firstOf(session);
    return seq === undefined ? found : before(seq, found);
  },
});
