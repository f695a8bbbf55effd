import type { DatabaseSync } from 'node:sqlite';
import { checkpointFor } from './audit-chain.ts';
import type { Pruned, PruneLimits } from './journal.ts';
import type { StoredAudit } from './reads.ts';
import { checkpointReader } from './sqlite-audit.ts';
import { upTo } from './sqlite-audit-reads.ts';

/**
 * What one call removes: rows, and text of events and answers in UTF-16 units. A row of an actor has entries in half a
 * dozen indexes, each on a page of its own in the worst case; this keeps the call at a few milliseconds.
 */
const CHUNK_ROWS = 32;
const CHUNK_TEXT = 262_144;
const CHUNK_RECORDS = 200;
/** How many executions are named in `unlink` at a time. */
const UNLINK = 64;

/** Removes what is too old. Runs inside the caller's transaction. */
export interface Pruner {
  /**
   * A session that could be removed but for `isPending`, which says whether the log still speaks of it, stays for a later
   * call.
   */
  /** Forgets executions whose artifacts are gone. */
  unlinked(executions: readonly string[]): void;
  prune(limits: PruneLimits, isPending: (session: string) => boolean): Pruned;
}

interface Ended {
  readonly session: string;
  readonly kind: string;
  readonly id: string;
}

interface Aged {
  readonly row: number;
  readonly session: string;
  readonly count: number;
  readonly size: number;
}

export const createPruner = (db: DatabaseSync, auditKey: Uint8Array): Pruner => {
  const rowsOf = <R>(rows: unknown): Iterable<R> => rows as Iterable<R>;
  const forget = db.prepare('DELETE FROM unlinking WHERE execution = ?');
  const unlinking = db.prepare('INSERT OR IGNORE INTO unlinking VALUES (?)');
  // Never the artifacts of an execution that is there, whatever has named it.
  const toUnlink = db.prepare(`
    SELECT execution FROM unlinking WHERE NOT EXISTS (SELECT 1 FROM actors WHERE actors.id = execution) LIMIT ${UNLINK}`);
  const ended = db.prepare(`
    SELECT session, kind, id FROM actors AS it
    WHERE ended <= ?1 AND (kind <> 'session'
      OR NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.session = it.session AND until > ?1)
      AND NOT EXISTS (SELECT 1 FROM actors AS other WHERE other.session = it.session AND other.done = 0))
    ORDER BY ended LIMIT ?2`);
  const dropActor = db.prepare('DELETE FROM actors WHERE session = ? AND kind = ? AND id = ?');
  const dropAliases = db.prepare('DELETE FROM aliases WHERE session = ? AND kind = ? AND id = ?');
  const leave = db.prepare('INSERT OR IGNORE INTO leaving VALUES (?)');
  const leaving = db.prepare('SELECT session FROM leaving LIMIT 1');
  const left = db.prepare('DELETE FROM leaving WHERE session = ?');
  const dropSession = db.prepare('DELETE FROM sessions WHERE session = ?');
  // Answers to those who came too late for a session that is gone.
  const dropGhost = db.prepare(`
    DELETE FROM sessions WHERE session = ?1 AND seq = 0 AND NOT EXISTS (SELECT 1 FROM actors WHERE session = ?1)`);
  const members = db.prepare('SELECT session, kind, id FROM actors WHERE session = ? LIMIT ?');
  const size = 'octet_length(text) AS size';
  const eventsOf = db.prepare(
    `SELECT rowid AS row, session, last - first + 1 AS count, ${size} FROM events WHERE session = ? ORDER BY first LIMIT ?`,
  );
  const oldEvents = db.prepare(
    `SELECT rowid AS row, session, last - first + 1 AS count, ${size} FROM events WHERE until <= ? ORDER BY until, rowid LIMIT ?`,
  );
  const dropEvents = db.prepare('DELETE FROM events WHERE rowid = ?');
  const answersOf = db.prepare(
    `SELECT rowid AS row, session, 0 AS count, ${size} FROM remembered WHERE session = ? LIMIT ?`,
  );
  const oldAnswers = db.prepare(
    `SELECT rowid AS row, session, 0 AS count, ${size} FROM remembered WHERE until <= ? ORDER BY until LIMIT ?`,
  );
  const dropAnswers = db.prepare('DELETE FROM remembered WHERE rowid = ?');
  const checkpoint = checkpointReader(db);
  const oldest = db.prepare(`SELECT n, mac, text FROM audit ORDER BY n LIMIT ${CHUNK_RECORDS}`);
  const dropRecords = db.prepare('DELETE FROM audit WHERE n <= ?');
  const clearCheckpoint = db.prepare('DELETE FROM checkpoint');
  const putCheckpoint = db.prepare('INSERT INTO checkpoint (n, mac, seal) VALUES (?, ?, ?)');

  const pruneAudit = (before: number): number => {
    const from = checkpoint();
    const records = upTo(rowsOf<StoredAudit>(oldest.iterate()), CHUNK_TEXT);
    const next = checkpointFor(auditKey, from, records, before);
    if (next === null) return 0;
    clearCheckpoint.run();
    putCheckpoint.run(next.n, next.mac, next.seal);
    dropRecords.run(next.n);
    return next.n - (from?.n ?? 0);
  };

  const unlinked = (executions: readonly string[]): void => {
    for (const execution of executions) forget.run(execution);
  };

  return {
    unlinked,
    prune: ({ before, auditBefore, unlinked: done = [] }, isPending) => {
      let rows = CHUNK_ROWS;
      let text = CHUNK_TEXT;
      const counts = { sessions: 0, actors: 0, events: 0, records: 0 };

      const dropOne = ({ session, kind, id }: Ended): void => {
        dropActor.run(session, kind, id);
        dropAliases.run(session, kind, id);
        if (kind === 'execution') unlinking.run(id);
        counts.actors += 1;
        rows -= 1;
      };
      const hasRoom = (): boolean => rows > 0 && text > 0;
      /** Drops rows as far as there is room; answers whether none was left. */
      const dropAged = (found: Iterable<Aged>, drop: (row: Aged) => void): boolean => {
        for (const aged of found) {
          if (!hasRoom()) return false;
          drop(aged);
          counts.events += aged.count;
          text -= aged.size;
          rows -= 1;
        }
        return hasRoom();
      };
      /** Goes on with sessions that nobody sees any more; answers whether all are gone. */
      const dropLeaving = (): boolean => {
        for (;;) {
          const session = (leaving.get() as { session: string } | undefined)?.session;
          if (session === undefined) return true;
          for (const member of rowsOf<Ended>(members.all(session, rows))) dropOne(member);
          const isEmpty =
            hasRoom() &&
            dropAged(rowsOf<Aged>(eventsOf.all(session, rows)), ({ row }) => dropEvents.run(row)) &&
            dropAged(rowsOf<Aged>(answersOf.all(session, rows)), ({ row }) => dropAnswers.run(row));
          if (!isEmpty) return false;
          dropSession.run(session);
          left.run(session);
          counts.sessions += 1;
        }
      };

      unlinked(done);
      if (dropLeaving()) {
        for (const actor of rowsOf<Ended>(ended.all(before, rows))) {
          if (actor.kind !== 'session') dropOne(actor);
          else if (!isPending(actor.session)) {
            // Without its own actor a session is as unknown as one that never was; the rest follows.
            dropOne(actor);
            leave.run(actor.session);
          }
        }
        if (hasRoom() && dropLeaving()) {
          dropAged(rowsOf<Aged>(oldEvents.all(before, rows)), ({ row }) => dropEvents.run(row));
          dropAged(rowsOf<Aged>(oldAnswers.all(before, rows)), ({ row, session }) => {
            dropAnswers.run(row);
            dropGhost.run(session);
          });
        }
      }
      if (hasRoom()) counts.records = pruneAudit(auditBefore);
      const unlink = rowsOf<{ execution: string }>(toUnlink.all());
      return {
        counts,
        unlink: Array.from(unlink, ({ execution }) => execution),
        more: rows < CHUNK_ROWS || counts.records > 0,
      };
    },
  };
};
