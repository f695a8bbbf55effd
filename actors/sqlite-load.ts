import type { DatabaseSync } from 'node:sqlite';
import { sessionAddress } from '../machines/address.ts';
import type { SessionId } from '../machines/id.ts';
import { type Loaded, type LoadedActor, REMEMBERED_LIMIT } from './journal.ts';

type ActorRow = Omit<LoadedActor, 'done'> & { readonly done: number };

/** Reads from the tables what a session's actors need to wake. */
export const createLoader = (db: DatabaseSync): ((session: string) => Loaded) => {
  const selectSession = db.prepare('SELECT seq, remembered FROM sessions WHERE session = ?');
  const selectActors = db.prepare(`
    SELECT session || '/' || kind || '/' || id AS key, version, state, done, context FROM actors
    WHERE session = ?1 AND done = 0
    UNION ALL
    SELECT session || '/' || kind || '/' || id AS key, version, state, done, context FROM actors
    WHERE session = ?1 AND kind = ?2 AND id = ?3 AND done = 1
    ORDER BY key`);
  const selectRemembered = db.prepare(
    'SELECT first, text FROM remembered WHERE session = ? AND last > ? ORDER BY first',
  );

  const rememberedOf = (session: string, count: number): [key: string, json: string][] => {
    const oldest = count - REMEMBERED_LIMIT;
    const answers = new Map<string, string>();
    for (const pack of selectRemembered.all(session, oldest) as unknown as { first: number; text: string }[]) {
      const lines = pack.text.split('\n');
      for (let index = 0; index < lines.length; index += 2) {
        if (pack.first + index / 2 <= oldest) continue;
        const [key] = JSON.parse(lines[index] as string) as [key: string, at: number];
        // An answer given anew counts as new.
        answers.delete(key);
        answers.set(key, lines[index + 1] as string);
      }
    }
    return [...answers];
  };

  return (session) => {
    const row = selectSession.get(session) as { seq: number; remembered: number } | undefined;
    const own = sessionAddress(session as SessionId);
    const actors = selectActors.all(session, own.kind, own.id) as unknown as ActorRow[];
    return {
      session,
      seq: row?.seq ?? 0,
      actors: actors.map((actor) => ({ ...actor, done: actor.done === 1 })),
      remembered: row === undefined ? [] : rememberedOf(session, row.remembered),
    };
  };
};
