import type { Event } from '../../machines/event.ts';
import type { EventPage } from './event-merge.ts';

/** What a connection tells the one who follows. */
export interface FeedListener {
  event(event: Event): void;
  /** The connection is gone; at most once, and nothing follows. */
  lost(error: unknown): void;
}

export interface FeedConnection {
  close(): void;
}

/** Where events come from: the log in pages, and a connection that brings what happens. */
export interface EventFeed {
  /** The events after a `seq`, at most `limit`. Rejects with a `ProblemError`. */
  list(after: number, limit: number, signal: AbortSignal): Promise<EventPage>;
  /** Resolves when events come: those after `after` where `replays`, else those from now on. */
  open(after: number, listener: FeedListener, signal: AbortSignal): Promise<FeedConnection>;
  readonly replays: boolean;
}
