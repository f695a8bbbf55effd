import type { WebhookAttempt, WebhookSender } from '../../src/gateway/webhook-sender.ts';
import type { MemoryDisk } from '../../actors/memory-disk.ts';
import type { Event } from '../../machines/event.ts';
import type { VirtualWorld } from './virtual-world.ts';

/** Where a session's events are sent in a simulation. */
export const HOOK = 'http://receiver.sim/';

/** Whoever receives webhooks: it refuses an event once or twice before it takes it. */
export interface SimReceiver {
  /** What brings events to it from one process; what is on its way dies with that. */
  sender(): WebhookSender;
  /** The ids under which each event arrived and was taken, by `session seq`. */
  readonly taken: ReadonlyMap<string, ReadonlySet<string>>;
}

const SLOWEST_MS = 300;
const MOST_REFUSALS = 2;

/** `onLie` is told of an event that is not what the disk has, or not yet (promise 2). */
export const createSimReceiver = (
  world: VirtualWorld,
  disk: MemoryDisk,
  onLie: (what: string) => void,
): SimReceiver => {
  const refusals = new Map<string, number>();
  const taken = new Map<string, Set<string>>();

  const receive = ({ id, body }: WebhookAttempt): boolean => {
    const { session_id, seq, type } = JSON.parse(body) as Event;
    if (disk.sessions.get(session_id)?.events[seq - 1]?.json !== body)
      onLie(`a webhook was sent ${type} at ${seq}, which is not on the disk`);
    const left = refusals.get(id) ?? world.draw(MOST_REFUSALS + 1);
    refusals.set(id, left - 1);
    if (left > 0) return false;
    const key = `${session_id} ${seq}`;
    taken.set(key, (taken.get(key) ?? new Set()).add(id));
    return true;
  };

  return {
    taken,
    sender: () => ({
      send: (attempt) =>
        new Promise((resolve) => {
          setTimeout(() => {
            const ok = receive(attempt);
            resolve(ok ? { ok, status: 204 } : { ok, status: 500, reason: 'status', retryAfterMs: null });
          }, world.draw(SLOWEST_MS));
        }),
      close: async () => {},
    }),
  };
};
