import type { Reads } from '../../actors/reads.ts';
import type { ReleasedEvent } from '../../actors/system.ts';
import type { SessionId } from '../../machines/id.ts';

/** Where a stream's events go. */
export interface EventSink {
  /** False when the reader has to catch up before more is written. */
  write(seq: number, json: string): boolean;
  /** Resolves when there is room again, false when there will not be. */
  drained(): Promise<boolean>;
}

export interface EventStreamOptions {
  readonly reads: Pick<Reads, 'events'>;
  readonly session: SessionId;
  /** The last `seq` that the reader has. */
  readonly after: number;
  readonly types: readonly string[] | undefined;
  /** Whether the reader may have this event now; one that it may not is passed over. */
  readonly may: (seq: number) => boolean;
  readonly sink: EventSink;
  /** Ended by itself: the cursor expired under it (the first `seq` left), the reader is gone, or a read failed. */
  readonly onEnd: (reason: 'expired' | 'stalled' | 'failed', cause?: unknown) => void;
}

export interface EventStream {
  /** A committed event of the session. */
  take(event: ReleasedEvent): void;
  /** Takes no more; resolves when what it took before is written. */
  finish(): Promise<void>;
  end(): void;
}

/** Events on one page of replay. */
const PAGE = 500;

/**
 * Replays, then follows, with no gap and no duplicate by construction: `position` is the last `seq` that was dealt with,
 * and only its successor is written as it happens. Whatever else comes while the reader is behind is read from the log
 * when it has caught up so far; a slow reader therefore costs no memory.
 */
export const followEvents = (options: EventStreamOptions): EventStream => {
  const { reads, session, types, may, sink, onEnd } = options;
  let position = options.after;
  let newest = 0;
  let until = Number.POSITIVE_INFINITY;
  let reading: Promise<void> | null = null;
  let ended = false;
  const wanted = types === undefined ? null : new Set(types);

  const end = (reason: Parameters<typeof onEnd>[0], cause?: unknown): void => {
    if (ended) return;
    ended = true;
    onEnd(reason, cause);
  };

  const readOn = async (): Promise<void> => {
    try {
      for (;;) {
        if (!(await sink.drained())) return end('stalled');
        if (ended) return;
        const asked = position;
        const known = newest;
        const page = await reads.events(session, {
          after: position,
          limit: PAGE,
          ...(types === undefined ? {} : { types }),
        });
        if (ended) return;
        if (page.first > position + 1 && page.last > position) return end('expired');
        for (const json of page.events) {
          const seq = seqOf(json);
          if (seq > until) return;
          if (may(seq)) sink.write(seq, json);
          position = seq;
        }
        position = Math.max(position, page.next ?? page.last);
        if ((page.next === null && position >= newest) || position >= until) return;
        // A page without what was known before it was asked for would be asked for for ever.
        if (position === asked && known > asked)
          return end('failed', new Error(`no events after ${position} of ${newest}`));
      }
    } catch (error) {
      end('failed', error);
    }
  };
  const catchUp = (): void => {
    reading = readOn().finally(() => {
      reading = null;
    });
  };
  catchUp();

  return {
    take: ({ seq, type, json }) => {
      if (ended || seq <= position || seq > until) return;
      newest = Math.max(newest, seq);
      if (reading !== null) return;
      if (seq !== position + 1) return catchUp();
      position = seq;
      if ((wanted !== null && !wanted.has(type)) || !may(seq)) return;
      if (!sink.write(seq, json)) catchUp();
    },
    finish: () => {
      until = Math.max(position, newest);
      return reading ?? Promise.resolve();
    },
    end: () => {
      ended = true;
    },
  };
};

const SEQ = /"seq":(\d+)/;

/** The `seq` of an event's JSON: `id` alone stands before it, and an id has no quotes in it. */
const seqOf = (json: string): number => Number(SEQ.exec(json)?.[1]);
