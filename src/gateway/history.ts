import type { Reads } from '../../actors/reads.ts';
import { addressKey, sessionAddress } from '../../machines/address.ts';
import { ProblemError } from '../../machines/error.ts';
import type { HistoryHead } from '../../machines/history.ts';
import type { SessionId } from '../../machines/id.ts';
import { sessionView } from './views.ts';

export interface HistorySource {
  readonly reads: Pick<Reads, 'actor' | 'events'>;
  /** Milliseconds since the epoch by the system's clock. */
  readonly now: () => number;
  readonly retentionMs: number;
}

/**
 * A session as it is now, and how far its log goes, for a command that reads it. Settles the log on the way, so that all
 * up to `last` is in the tables. Rejects with `not_found` for a session that is not kept any more.
 */
export const historyOf = async (
  { reads, now, retentionMs }: HistorySource,
  session: SessionId,
): Promise<HistoryHead> => {
  const stored = await reads.actor(addressKey(sessionAddress(session)));
  if (stored === null) throw new ProblemError('not_found', 'the session is no longer kept');
  // Beyond the end there is nothing to carry, only where the log begins and ends.
  const { first, last } = await reads.events(session, { after: Number.MAX_SAFE_INTEGER, limit: 1 });
  const { session_id, owner, status, created_at } = sessionView(stored);
  return { session: { session_id, owner, status, created_at }, first, last, at: now(), retention_ms: retentionMs };
};
