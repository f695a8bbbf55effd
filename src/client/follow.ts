import { ProblemError } from '../../machines/error.ts';
import type { Event, EventType } from '../../machines/event.ts';
import { pause, reconnectDelay } from './backoff.ts';
import type { EventFeed, FeedConnection } from './event-feed.ts';
import { createEventMerge } from './event-merge.ts';
import { isRetryable } from './failure.ts';

export interface FollowOptions {
  /** The last `seq` that is known already; by default everything that is left is replayed. */
  readonly after?: number;
  /** Only these types are handed over. All are read all the same: a hole shows only in the whole sequence. */
  readonly types?: readonly EventType[];
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
  /** Ends after `session_closed` or `session_expired`; default true. */
  readonly untilClosed?: boolean;
  /** Milliseconds without a connection after which the last error is thrown; default 300,000. */
  readonly giveUpMs?: number;
  /** Events that are held for a reader that is slower than the session; default 1,000. */
  readonly capacity?: number;
  /** From 0 to below 1; for tests. */
  readonly random?: () => number;
}

const DEFAULT_GIVE_UP_MS = 300_000;
const DEFAULT_CAPACITY = 1_000;
/** Events of at most 64 KiB on one page of replay. */
const PAGE = 250;
/** A connection that held for so long was good: the next failure is a first one. */
const GOOD_AFTER_MS = 10_000;

const ENDS: ReadonlySet<string> = new Set<EventType>(['session_closed', 'session_expired']);

/** The first `seq` that is left, where an error says that what was asked for is older. */
const firstLeft = (error: unknown): number | null => {
  const first = error instanceof ProblemError && error.problem.code === 'cursor_expired' && error.problem['first'];
  return typeof first === 'number' ? first : null;
};

/**
 * Replays a session's events after a `seq`, then follows: every event once, in order, none left out. Comes back by itself
 * after a lost connection (exponential backoff with full jitter). Throws a `ProblemError` for what another attempt would
 * not change (`unauthenticated`, `not_found`, `cursor_expired`), and when it gives up.
 */
export async function* followEvents(
  feed: EventFeed,
  options: FollowOptions = {},
): AsyncGenerator<Event, void, undefined> {
  const { after = 0, untilClosed = true, giveUpMs = DEFAULT_GIVE_UP_MS, capacity = DEFAULT_CAPACITY } = options;
  const wanted = options.types === undefined ? null : new Set<string>(options.types);
  const merge = createEventMerge({ after, capacity });
  const over = new AbortController();
  const signal = options.signal === undefined ? over.signal : AbortSignal.any([over.signal, options.signal]);
  let connection: FeedConnection | null = null;
  let connectedAt = 0;
  let lost: { readonly error: unknown } | null = null;
  let failures = 0;
  let failingSince = 0;
  let wake = (): void => undefined;

  const connect = async (): Promise<FeedConnection> => {
    // What an older connection still says is no news of this one.
    let isCurrent = true;
    const opened = await feed.open(
      merge.position,
      {
        event: (event) => {
          if (!isCurrent) return;
          merge.live(event);
          wake();
        },
        lost: (error) => {
          if (!isCurrent) return;
          lost = { error };
          wake();
        },
      },
      signal,
    );
    return {
      close: () => {
        isCurrent = false;
        opened.close();
      },
    };
  };

  /** Waits for an event, the loss of the connection or the end. */
  const news = (): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        wake = () => undefined;
        signal.removeEventListener('abort', done);
        resolve();
      };
      wake = done;
      signal.addEventListener('abort', done);
    });

  /** One step towards the next event; true where it has brought anything forward. */
  const step = async (): Promise<void> => {
    if (lost !== null) throw (lost as { error: unknown }).error;
    if (merge.isBehind) {
      const { position } = merge;
      merge.page(await feed.list(position, Math.min(PAGE, capacity), signal));
      // More is known to be there than the log shows: asked at once again, it would be asked for ever.
      if (merge.isBehind && merge.position === position)
        throw new ProblemError('unavailable', `the log shows nothing after seq ${position} yet`);
    } else if (connection === null) {
      connection = await connect();
      connectedAt = performance.now();
      if (!feed.replays) merge.lost();
    } else await news();
  };

  try {
    while (!signal.aborted) {
      for (let event = merge.shift(); event !== undefined; event = merge.shift()) {
        failures = 0;
        if (wanted === null || wanted.has(event.type)) yield event;
        if (signal.aborted || (untilClosed && ENDS.has(event.type))) return;
      }
      try {
        await step();
      } catch (error) {
        if (signal.aborted) return;
        const first = options.after === undefined && merge.position === 0 ? firstLeft(error) : null;
        if (first !== null) {
          merge.begin(first - 1);
          continue;
        }
        if (!isRetryable(error)) throw error;
        const now = performance.now();
        if (connection !== null && now - connectedAt >= GOOD_AFTER_MS) failures = 0;
        (connection as FeedConnection | null)?.close();
        connection = null;
        lost = null;
        merge.lost();
        if (failures === 0) failingSince = now;
        else if (now - failingSince >= giveUpMs) throw error;
        failures += 1;
        await pause(reconnectDelay(failures, options.random), signal);
      }
    }
  } finally {
    over.abort();
    (connection as FeedConnection | null)?.close();
  }
}
