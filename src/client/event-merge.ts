import { ProblemError } from '../../machines/error.ts';
import type { Event } from '../../machines/event.ts';

export interface EventMergeOptions {
  /** The last `seq` that the reader has. */
  readonly after: number;
  /** Events that are held for a slow reader. */
  readonly capacity: number;
}

/** One page of the log. */
export interface EventPage {
  readonly events: readonly Event[];
  readonly next: number | null;
}

/**
 * Makes one dense sequence of pages of the log and of events as they happen, in whatever order, number and repetition
 * they come. Only the successor of `position` is ever taken; whatever else is new means that the log has to be read.
 * A reader that is slow, or was cut off, therefore costs no memory and misses nothing.
 */
export interface EventMerge {
  /** The `seq` of the last event that was taken: where the log is read on, and a connection begins anew. */
  readonly position: number;
  /** Whether the log has to be read: something may lie between `position` and what comes next. */
  readonly isBehind: boolean;
  /** An event as it happens. */
  live(event: Event): void;
  /** A page of the log that was asked for after `position` or earlier. Throws where it has a hole. */
  page(page: EventPage): void;
  /** Begins later, since what was before is no longer there; only while nothing was taken. */
  begin(after: number): void;
  /** The connection was lost, or begins with whatever happens now. */
  lost(): void;
  /** The next event of the sequence, if it is there. */
  shift(): Event | undefined;
}

export const createEventMerge = ({ after, capacity }: EventMergeOptions): EventMerge => {
  let position = after;
  let newest = after;
  let behind = true;
  let queue: Event[] = [];
  let head = 0;

  const isFull = (): boolean => queue.length - head >= capacity;
  const take = (event: Event): void => {
    queue.push(event);
    position = event.seq;
  };
  const miss = (event: Event): void => {
    newest = Math.max(newest, event.seq);
    behind = true;
  };

  return {
    get position() {
      return position;
    },
    get isBehind() {
      return behind;
    },
    live: (event) => {
      if (event.seq <= position) return;
      if (event.seq === position + 1 && !isFull()) take(event);
      else miss(event);
    },
    page: ({ events, next }) => {
      for (const event of events) {
        if (event.seq <= position) continue;
        if (event.seq !== position + 1)
          throw new ProblemError('internal', `the log goes from seq ${position} to ${event.seq}`);
        if (isFull()) return miss(event);
        take(event);
      }
      if (next === null && position >= newest) behind = false;
    },
    begin: (from) => {
      position = Math.max(position, from);
    },
    lost: () => {
      behind = true;
    },
    shift: () => {
      const event = queue[head];
      if (event === undefined) return undefined;
      head += 1;
      // Shifting an array moves all of it; so it is cut once nothing is left in it.
      if (head === queue.length) {
        queue = [];
        head = 0;
      }
      return event;
    },
  };
};
