import type { EventPage } from './reads.ts';

/** The most events, actors or records on a page. */
const PAGE_EVENTS = 1_000;
/** The most text on a page, in UTF-16 units; one event alone, or one record, may exceed it. */
export const PAGE_TEXT = 1_048_576;

export const pageLimit = (limit: number): number => Math.max(1, Math.min(Math.floor(limit), PAGE_EVENTS));

/** Fills one page from events in `seq` order, within the bounds of {@link PAGE_EVENTS} and {@link PAGE_TEXT}. */
export interface PageBuilder {
  /** False when the page was full before this event. */
  add(seq: number, text: string): boolean;
  /** Notes that everything up to `seq` has been looked at. */
  pass(seq: number): void;
  finish(first: number, last: number): EventPage;
}

export const createPageBuilder = (after: number, limit: number): PageBuilder => {
  const events: string[] = [];
  const most = pageLimit(limit);
  let size = 0;
  let seen = after;
  return {
    add: (seq, text) => {
      if (events.length >= most || (events.length > 0 && size + text.length > PAGE_TEXT)) return false;
      events.push(text);
      size += text.length;
      seen = seq;
      return true;
    },
    pass: (seq) => {
      seen = Math.max(seen, seq);
    },
    finish: (first, last) => ({ events, next: seen < last ? seen : null, first, last }),
  };
};
