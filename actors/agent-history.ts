import type { DatabaseSync } from 'node:sqlite';
import type { HistoryHead, SessionHistory } from '../machines/history.ts';
import type { SessionId } from '../machines/id.ts';
import type { Reads } from './reads.ts';
import { databaseFile, openReader } from './sqlite-database.ts';
import { eventReadsOver } from './sqlite-event-reads.ts';

/** The most events on a page: few, since a page lives long enough to grow old; the reads bound its text. */
const PAGE = 100;

export interface HistoryOptions {
  readonly dataDirectory: string;
  readonly session: SessionId;
  /** Asks the main thread, which settles the log. */
  readonly head: () => Promise<HistoryHead>;
}

export interface OpenHistory extends SessionHistory {
  /** Closes the connection; a page that is asked for after it is refused. */
  close(): void;
}

/**
 * A session's log as an agent thread reads it: over a connection of its own, so that the main thread has nothing to do with
 * pages. It is settled once, by `head`: what was in the log until then stays in the tables. Opened with the first page, and
 * between two pages no transaction is open that would hold up a checkpoint.
 */
export const openHistory = ({ dataDirectory, session, head }: HistoryOptions): OpenHistory => {
  let db: DatabaseSync | null = null;
  let reads: Pick<Reads, 'events'> | null = null;
  let closed = false;
  return {
    head,
    page: async (after, types) => {
      if (closed) throw new Error('the run has ended');
      db ??= openReader(dataDirectory);
      reads ??= eventReadsOver(db, databaseFile(dataDirectory), async () => {});
      return reads.events(session, { after, limit: PAGE, ...(types === undefined ? {} : { types }) });
    },
    close: () => {
      closed = true;
      db?.close();
      db = null;
    },
  };
};
