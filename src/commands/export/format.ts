import type { HistoryHead } from '../../../machines/history.ts';

/** What an export says of itself. */
export interface ExportHead {
  readonly session: HistoryHead['session'];
  /** RFC 3339: the moment up to which events are in it. */
  readonly exported_at: string;
  /** The range of `seq` that it covers; `last_seq` below `first_seq` where there is nothing. */
  readonly first_seq: number;
  readonly last_seq: number;
  /** Which types of events are in it; null for all. */
  readonly types: readonly string[] | null;
}

/** Events as their JSON texts, in `seq` order, page by page. */
export type Pages = AsyncIterable<readonly string[]>;

/** One way to write a session down. */
export interface Format {
  readonly mediaType: string;
  /** The text, piece by piece; what it holds of the events meanwhile does not grow with their number. */
  write(head: ExportHead, pages: Pages): AsyncGenerator<string, void, undefined>;
}
