import type { Deadline, DeadlinePage } from './journal.ts';
import type { ShardLimits } from './shard-messages.ts';
import { createTimers } from './timers.ts';

export type DeadlineLimits = Pick<ShardLimits, 'horizonMs' | 'deadlineWindow'>;

/**
 * The deadlines of a shard's actors, as far as they are near. What lies beyond the horizon is in the journal alone, with
 * the snapshot that says it, so that an actor that sleeps for days costs no memory; windows bring it when it comes near.
 *
 * Every deadline at or before the horizon is held here. That stays true while a window is on its way: the journal answers
 * with what it has of the turns before the question, and what turns say after it is held as far as was asked for, and is
 * believed rather than the answer.
 */
export interface Deadlines {
  /** What an actor's deadline is after a turn; null for none. */
  set(key: string, at: number | null): void;
  /** Takes a deadline that has come once more, at `at`. */
  retry(key: string, at: number): void;
  /** Takes out the keys whose deadline is at or before `now`, earliest first, at most `limit`. */
  due(now: number, limit: number): string[];
  /** The window to ask the journal for now; null where none is wanted. Whoever asks here sends the question on. */
  ask(now: number): DeadlinePage | null;
  /** The journal's answer to the last question. */
  answer(deadlines: readonly Deadline[]): void;
  /** When the next is due or a window is to be asked for; null while only an answer can tell. */
  next(): number | null;
  /** How many are held. */
  count(): number;
  /** Begins anew, with nothing held and nothing asked. */
  clear(): void;
}

/** Before and after every key, at any one time. */
const FIRST = '';
const LAST = '\uffff';
/** Before every deadline. */
const START: Deadline = [FIRST, -1];

const isAtOrBefore = (key: string, at: number, [lastKey, last]: Deadline): boolean =>
  at < last || (at === last && key <= lastKey);

export const createDeadlines = ({ horizonMs, deadlineWindow: window }: DeadlineLimits): Deadlines => {
  const timers = createTimers();
  /** Deadlines that have come and are tried again: the journal has them at a time that is behind the horizon. */
  const retried = new Set<string>();
  let horizon: Deadline = START;
  let asked: { readonly until: Deadline; readonly said: Set<string> } | null = null;

  /** A window is wanted early, so that nothing waits for it, unless enough is held already. */
  const askAt = (): number => (timers.count() * 2 <= window ? horizon[1] - horizonMs / 2 : horizon[1]);

  const moveHorizon = (to: Deadline): void => {
    horizon = to;
    for (const [key, at] of timers.list().toReversed()) {
      if (isAtOrBefore(key, at, to)) break;
      if (!retried.has(key)) timers.set(key, null);
    }
  };

  /** Many deadlines were set to come soon: the later ones come with a window, as all others do. */
  const trim = (): void => {
    if (asked !== null || timers.count() <= 2 * window) return;
    const last = timers.list()[window - 1] as Deadline;
    if (isAtOrBefore(...last, horizon)) moveHorizon(last);
  };

  return {
    set: (key, at) => {
      retried.delete(key);
      asked?.said.add(key);
      timers.set(key, at !== null && isAtOrBefore(key, at, asked?.until ?? horizon) ? at : null);
      trim();
    },
    retry: (key, at) => {
      retried.add(key);
      timers.set(key, at);
    },
    due: (now, limit) => {
      const keys = timers.due(now, limit);
      for (const key of keys) retried.delete(key);
      return keys;
    },
    ask: (now) => {
      // Nothing that has come may be left, or what is due at the same time would pile up here.
      if (asked !== null || now < askAt() || (now >= horizon[1] && (timers.next() ?? Infinity) <= now)) return null;
      const until = now + horizonMs;
      asked = { until: [LAST, until], said: new Set() };
      return { after: horizon, until, limit: window };
    },
    answer: (deadlines) => {
      if (asked === null) return;
      const { until, said } = asked;
      asked = null;
      for (const [key, at] of deadlines) if (!said.has(key)) timers.set(key, at);
      const last = deadlines.length < window ? undefined : deadlines.at(-1);
      moveHorizon(last ?? until);
      trim();
    },
    next: () => {
      const due = timers.next();
      if (asked !== null) return due;
      return due === null ? askAt() : Math.min(due, askAt());
    },
    count: timers.count,
    clear: () => {
      timers.clear();
      retried.clear();
      horizon = START;
      asked = null;
    },
  };
};
