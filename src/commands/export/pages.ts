import { setImmediate as turn } from 'node:timers/promises';
import { ProblemError } from '../../../machines/error.ts';
import type { HistoryHead, SessionHistory } from '../../../machines/history.ts';
import type { Pages } from './format.ts';

/** Which events are wanted: with `seq` above `after`, up to `until`, of `types` where given. */
export interface Wanted {
  readonly after: number;
  readonly until: number;
  readonly types?: readonly string[] | undefined;
}

/**
 * What is wanted of a log as it is now. Throws `cursor_expired` where `after` is before what retention has left, as
 * `events.list` does.
 */
export const wantedOf = (
  { first, last }: Pick<HistoryHead, 'first' | 'last'>,
  args: { readonly after?: number | undefined; readonly until?: number | undefined },
): Pick<Wanted, 'after' | 'until'> => {
  if (args.after !== undefined && args.after + 1 < first)
    throw new ProblemError('cursor_expired', `the first event that is left is ${first}`, { more: { first } });
  const until = Math.min(args.until ?? last, last);
  return { after: Math.min(args.after ?? first - 1, until), until };
};

/**
 * Events that are handed on at a time: what is made of them is then thrown away while it is young. Of whole pages it grows
 * old, and V8 lets a hundred megabytes of it gather.
 */
const PART = 50;

const seqOf = (event: string): number => (JSON.parse(event) as { seq: number }).seq;

/**
 * The pages of a log up to `until`, however much is logged meanwhile. `onRead` hears up to which `seq` all was looked at.
 * Throws an error that another attempt mends where retention has overtaken it.
 */
export const pagesOf = async function* (
  { page }: Pick<SessionHistory, 'page'>,
  { after, until, types }: Wanted,
  signal: AbortSignal,
  onRead: (seq: number) => void,
): Pages {
  for (let at = after; at < until; ) {
    signal.throwIfAborted();
    const { events, next, first } = await page(at, types);
    if (first > at + 1) throw new Error(`the events up to ${first - 1} were removed by retention meanwhile`);
    const reached = next ?? until;
    const wanted = reached <= until && next !== null ? events : events.filter((event) => seqOf(event) <= until);
    for (let from = 0; from < wanted.length; from += PART) yield wanted.slice(from, from + PART);
    at = Math.min(reached, until);
    onRead(at);
    // The word that nobody wants it any more comes as a message, and reading alone would let none in.
    await turn();
  }
};
