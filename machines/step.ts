import type { CoordinationId } from './id.ts';
import type { Question } from './question.ts';

/**
 * What of an execution outlives its runs (contract, section 8): what a handler has finished, and what it waits for. A key
 * names a step or a sleep within its execution; the thread makes it, and nobody else looks into it.
 */
export interface Recorded {
  readonly key: string;
  /** Plain JSON; absent where there is none. */
  readonly result?: unknown;
}

/** Something that has not come yet: a time in ms since the epoch, or the outcome of a question. */
export type Awaited =
  | { readonly key: string; readonly reason: 'sleep'; readonly until: number }
  | { readonly key: string; readonly reason: 'confirm'; readonly coordination_id: CoordinationId };

/** The same as a thread knows it, which has no clock but its own: milliseconds from now on. */
export type Asked =
  | { readonly key: string; readonly reason: 'sleep'; readonly remaining_ms: number }
  | (AskedQuestion & { readonly key: string; readonly reason: 'confirm' });

export interface AskedQuestion {
  readonly coordination_id: CoordinationId;
  readonly question: Question;
  readonly details: unknown;
}

/** Bounds of one execution; whoever goes beyond gets `too_large`, or `invalid_input` for a length that is none. */
export const STEP_LIMITS = {
  /** Bytes of one step's result as JSON. */
  result_bytes: 16 * 1024,
  /** Bytes of all results: they are written again with each change of their execution. */
  total_bytes: 256 * 1024,
  steps: 100,
  sleeps: 100,
  confirmations: 20,
  /** Characters of a name. */
  name: 128,
  /** 30 days. */
  sleep_ms: 30 * 24 * 60 * 60 * 1_000,
} as const;

const untilOf = (awaited: Awaited): number => (awaited.reason === 'sleep' ? awaited.until : Infinity);

/** When the first of them comes by itself; null where none does. */
export const whenFirst = (awaited: readonly Awaited[]): number | null => {
  const first = Math.min(...awaited.map(untilOf));
  return first === Infinity ? null : first;
};

/** Adds what is not known yet; what is known keeps its time, whoever asks again. */
export const addAwaited = (awaited: readonly Awaited[], asked: readonly Asked[], at: number): readonly Awaited[] => {
  const known = new Set(awaited.map(({ key }) => key));
  return [
    ...awaited,
    ...asked
      .filter(({ key }) => !known.has(key))
      // Rounded up: a sleep never ends early.
      .map((each): Awaited => {
        const { key, reason } = each;
        if (reason === 'confirm') return { key, reason, coordination_id: each.coordination_id };
        return { key, reason, until: Math.ceil(at + Math.max(0, each.remaining_ms)) };
      }),
  ];
};

/** What is due is finished, in the order in which it came. */
export const settle = (
  recorded: readonly Recorded[],
  awaited: readonly Awaited[],
  at: number,
): { readonly recorded: readonly Recorded[]; readonly awaited: readonly Awaited[] } => {
  const due = awaited.filter((each) => untilOf(each) <= at).toSorted((a, b) => untilOf(a) - untilOf(b));
  return due.length === 0
    ? { recorded, awaited }
    : {
        recorded: [...recorded, ...due.map(({ key }) => ({ key }))],
        awaited: awaited.filter((each) => untilOf(each) > at),
      };
};

/** One more is finished; the first to say so counts. */
export const record = (recorded: readonly Recorded[], next: Recorded): readonly Recorded[] =>
  recorded.some(({ key }) => key === next.key) ? recorded : [...recorded, next];
