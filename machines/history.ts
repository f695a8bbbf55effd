import type { HandlerContext } from './command.ts';

/** A session and how far its log goes, as it was when it was asked. */
export interface HistoryHead {
  readonly session: {
    readonly session_id: string;
    readonly owner: string;
    readonly status: string;
    /** RFC 3339. */
    readonly created_at: string;
  };
  /** The first `seq` that is left, and the last that was given out. */
  readonly first: number;
  readonly last: number;
  /** The system's time, ms since the epoch. */
  readonly at: number;
  /** How long the artifacts of an execution are kept once it has ended, in ms. */
  readonly retention_ms: number;
}

export interface HistoryPage {
  /** Each event as its JSON text, in `seq` order. */
  readonly events: readonly string[];
  /** The `seq` to ask after for the next page; null at the end of the log. */
  readonly next: number | null;
  /** The first `seq` that is left: where it is above the one after the cursor, retention has overtaken the reader. */
  readonly first: number;
}

/** The events of the session in which a handler runs, to read and no more. Bounded pages, read on the handler's own thread. */
export interface SessionHistory {
  /** Settles what the log still holds: whatever was committed before the call is on the pages read after it. */
  head(): Promise<HistoryHead>;
  /** Up to 1,000 events and 1 MiB with `seq` above `after`, of `types` only where given. */
  page(after: number, types?: readonly string[]): Promise<HistoryPage>;
}

/** What the handlers of built-in commands are given besides: no promise to the authors of others. */
export interface BuiltInContext<Args> extends HandlerContext<Args> {
  readonly history: SessionHistory;
}
