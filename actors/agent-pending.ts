import type { Attempt } from './agent-lane.ts';

/**
 * Runs that wait for a thread, the sessions in turn: start-time fair queueing. Each run has a turn, one after the last of
 * its session and not before the present one, so that a session that comes anew is not behind all that another has there.
 */
export interface AgentPending {
  add(attempt: Attempt): void;
  /** What was sent to a thread and has not begun: it has its turn from before. */
  back(attempts: readonly Attempt[]): void;
  remove(attempt: Attempt): void;
  /** Takes from the front as long as `send` can. */
  drain(send: (attempt: Attempt) => boolean): void;
  clear(): void;
  has(session: string): boolean;
  size(): number;
  /** When the pool got the one that has waited longest; null where nothing waits. */
  since(): number | null;
}

interface Own {
  waiting: number;
  lastTurn: number;
}

export const createAgentPending = (): AgentPending => {
  /** By turn; within one in order of arrival. */
  let line: Attempt[] = [];
  let present = 0;
  const arrived = new Set<Attempt>();
  const sessions = new Map<string, Own>();

  const insert = (attempt: Attempt, isBefore: (other: number, own: number) => boolean): void => {
    const own = attempt.turn;
    let index = line.length;
    // Whoever comes belongs near the end, and who comes back near the front, where nothing is long.
    while (index > 0 && isBefore(own, (line[index - 1] as Attempt).turn)) index -= 1;
    line.splice(index, 0, attempt);
  };
  const enter = (attempt: Attempt, turn: number): void => {
    const { session } = attempt.place;
    arrived.add(attempt);
    const own = sessions.get(session);
    if (own === undefined) sessions.set(session, { waiting: 1, lastTurn: turn });
    else {
      own.waiting += 1;
      own.lastTurn = Math.max(own.lastTurn, turn);
    }
  };
  const leave = (attempt: Attempt): void => {
    const { session } = attempt.place;
    arrived.delete(attempt);
    const own = sessions.get(session);
    if (own === undefined) return;
    own.waiting -= 1;
    if (own.waiting === 0) sessions.delete(session);
  };

  return {
    add: (attempt) => {
      const last = sessions.get(attempt.place.session)?.lastTurn;
      const turn = last === undefined ? present : Math.max(present, last + 1);
      attempt.turn = turn;
      enter(attempt, turn);
      insert(attempt, (own, other) => own < other);
    },
    back: (attempts) => {
      for (const attempt of attempts.toReversed()) {
        enter(attempt, attempt.turn);
        insert(attempt, (own, other) => own <= other);
      }
    },
    remove: (attempt) => {
      const index = line.indexOf(attempt);
      if (index === -1) return;
      line.splice(index, 1);
      leave(attempt);
    },
    drain: (send) => {
      let sent = 0;
      for (const attempt of line) {
        if (!send(attempt)) break;
        present = Math.max(present, attempt.turn);
        leave(attempt);
        sent += 1;
      }
      line.splice(0, sent);
    },
    clear: () => {
      line = [];
      arrived.clear();
      sessions.clear();
    },
    has: (session) => sessions.has(session),
    size: () => line.length,
    since: () => {
      const [oldest] = arrived;
      return oldest?.since ?? null;
    },
  };
};
