import type { System } from '../../actors/system.ts';
import type { EventStream } from './event-stream.ts';

/** A stream that is open. */
export interface OpenStream {
  readonly events: EventStream;
  /** Writes a comment, so that proxies and readers see life; also where the credentials are checked again. */
  beat(): void;
  end(): void;
}

/** The open streams: one listener and one timer for all of them. */
export interface Streams {
  open(session: string, stream: OpenStream): () => void;
  close(): void;
}

export const createStreams = (system: Pick<System, 'onEvent'>, heartbeatMs: number): Streams => {
  const bySession = new Map<string, Set<OpenStream>>();
  const each = (task: (stream: OpenStream) => void): void => {
    for (const streams of bySession.values()) for (const stream of streams) task(stream);
  };
  const unlisten = system.onEvent((event) => {
    const streams = bySession.get(event.session);
    if (streams !== undefined) for (const stream of streams) stream.events.take(event);
  });
  const timer = setInterval(() => each((stream) => stream.beat()), heartbeatMs);
  timer.unref();

  return {
    open: (session, stream) => {
      const streams = bySession.get(session) ?? new Set();
      bySession.set(session, streams.add(stream));
      return () => {
        streams.delete(stream);
        if (streams.size === 0 && bySession.get(session) === streams) bySession.delete(session);
      };
    },
    close: () => {
      clearInterval(timer);
      unlisten();
      each((stream) => stream.end());
    },
  };
};
