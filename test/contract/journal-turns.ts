import type { Journal, Claim, TurnText, Verdict } from '../../actors/journal.ts';
import type { SessionId } from '../../machines/id.ts';
import { encodeTurn, type SnapshotHead } from '../../actors/turn-record.ts';

/** The time of a turn is this and its number, unless it says otherwise. */
const TURNS_BEGIN = 1_700_000_000_000;

/** What a test says of a turn; whatever is left out is empty. */
export interface TurnParts {
  readonly read?: Readonly<Record<string, number>>;
  readonly actors?: readonly ActorPart[];
  readonly events?: readonly (readonly [session: string, seq: number, type: string, text?: string])[];
  readonly out?: readonly (readonly [to: number, n: number, key: string])[];
  readonly remembered?: readonly (readonly [session: string, key: string, json: string])[];
  readonly audit?: readonly string[];
  /** Milliseconds since the epoch. */
  readonly at?: number;
}

export interface ActorPart {
  readonly key: string;
  readonly state?: string;
  readonly done?: boolean;
  readonly deadline?: number;
  readonly waits?: string;
  readonly label?: string;
  readonly aliases?: readonly string[];
  readonly context?: Record<string, unknown>;
}

export const sessionId = (n: number): SessionId => `ses_${String(n).padStart(26, '0')}`;
export const executionId = (n: number): string => `exe_${String(n).padStart(26, '0')}`;
export const sessionKey = (n: number): string => `${sessionId(n)}/session/${sessionId(n)}`;
export const executionKey = (session: number, n: number): string => `${sessionId(session)}/execution/${executionId(n)}`;

export const eventText = (session: string, seq: number, type: string, text = ''): string =>
  JSON.stringify({ seq, session_id: session, type, data: { text } });

export const turnText = (shard: number, epoch: number, turn: number, parts: TurnParts = {}): TurnText => {
  const { read = {}, actors = [], events = [], out = [], remembered = [], audit, at = TURNS_BEGIN + turn } = parts;
  const text = encodeTurn({
    head: {
      shard,
      epoch,
      turn,
      at,
      read,
      snapshots: actors.map(
        ({ key, state = 'idle', done = false, deadline = null, waits = null, label = null, aliases }): SnapshotHead => {
          const head = [key, 1, state, done ? 1 : 0, deadline, waits, label] as const;
          return aliases === undefined ? head : [...head, aliases];
        },
      ),
      events: events.map(([session, seq, type]) => [session, seq, type, session] as const),
      out,
      remembered: remembered.map(([session, key]) => [session, key, turn] as const),
    },
    contexts: actors.map(({ context = {} }) => JSON.stringify(context)),
    events: events.map(([session, seq, type, body]) => eventText(session, seq, type, body)),
    out: out.map(([to, n, key]) => JSON.stringify({ to, n, key })),
    remembered: remembered.map(([, , json]) => json),
  });
  return { shard, epoch, turn, text, ...(audit === undefined ? {} : { audit }) };
};

/** A shard as a test plays it: claims once, then commits turn after turn. */
export interface Writer {
  readonly claim: Claim;
  /** The next turn, without committing it. */
  next(parts?: TurnParts): TurnText;
  /** Commits the next turn alone. */
  commit(parts?: TurnParts): Promise<Verdict>;
}

export const createWriter = async (journal: Journal, shard: number): Promise<Writer> => {
  const [claim] = (await journal.claim([shard])) as [Claim];
  let turn = claim.turn;
  const next = (parts?: TurnParts): TurnText => turnText(shard, claim.epoch, ++turn, parts);
  return {
    claim,
    next,
    commit: async (parts) => {
      const [verdict] = await journal.commit([next(parts)]);
      return verdict as Verdict;
    },
  };
};

/** Every event of a session, page after page. */
export const allEvents = async (
  journal: Pick<Journal, 'reads'>,
  session: SessionId,
  page: { limit: number; types?: readonly string[]; after?: number },
): Promise<string[]> => {
  const events: string[] = [];
  for (let after: number | null = page.after ?? 0; after !== null; ) {
    const found = await journal.reads.events(session, { ...page, after });
    events.push(...found.events);
    if (found.next !== null && found.next <= after) throw new Error(`next ${found.next} does not go beyond ${after}`);
    after = found.next;
  }
  return events;
};

/** Moves the whole log into the tables. */
export const applyAll = async (journal: Journal): Promise<void> => {
  while (await journal.apply());
};
