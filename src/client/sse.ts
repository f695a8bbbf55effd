import { createParser } from 'eventsource-parser';
import type { Event } from '../../machines/event.ts';
import { encodeHttpRequest } from '../operations/http-request.ts';
import { eventsList } from '../operations/events.ts';
import type { Operation } from '../operations/operation.ts';
import type { Call } from './client.ts';
import type { EventFeed, FeedListener } from './event-feed.ts';
import { errorOf, problemIn, unreachable } from './failure.ts';
import { fetchWithin, type HttpConnection } from './http-fetch.ts';

export interface SseFeedOptions {
  readonly connection: HttpConnection;
  readonly session_id: string;
  readonly call: Call;
  /** Milliseconds for the stream to begin. */
  readonly timeoutMs: number;
  /** Milliseconds of silence after which the stream is held for lost; the server writes every 15 s. Default 45,000. */
  readonly silenceMs?: number;
}

const DEFAULT_SILENCE_MS = 45_000;
/** An event has at most 64 KiB of data, which JSON's escapes can make six times as long. */
const MAX_EVENT_CHARACTERS = 1024 * 1024;

const operation = eventsList as unknown as Operation;

const readStream = async (
  body: ReadableStream<Uint8Array>,
  listener: FeedListener,
  silenceMs: number,
  signal: AbortSignal,
): Promise<never> => {
  const reader = body.getReader();
  const stop = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', stop);
  const decoder = new TextDecoder();
  let broken: unknown = null;
  const parser = createParser({
    maxBufferSize: MAX_EVENT_CHARACTERS,
    onEvent: ({ data }) => listener.event(JSON.parse(data) as Event),
    onError: (error) => {
      broken = error.type === 'max-buffer-size-exceeded' ? error : broken;
    },
  });
  try {
    for (;;) {
      const silence = setTimeout(stop, silenceMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) throw unreachable('the event stream ended');
      parser.feed(decoder.decode(value, { stream: true }));
      if (broken !== null) throw broken;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
};

/** The events of a session over HTTP: `events.list`, as pages and as a stream (HTML, section 9.2). */
export const createSseFeed = (options: SseFeedOptions): EventFeed => {
  const { connection, session_id, call, timeoutMs, silenceMs = DEFAULT_SILENCE_MS } = options;
  return {
    replays: true,
    list: (after, limit, signal) => call('events.list', { session_id, after, limit }, { signal }),
    open: async (after, listener, outer) => {
      const closed = new AbortController();
      const signal = AbortSignal.any([closed.signal, outer]);
      const { path } = encodeHttpRequest(operation, { session_id, after });
      const body = await fetchWithin(
        connection,
        path,
        { headers: { accept: 'text/event-stream' } },
        { signal, timeoutMs, what: 'events.list' },
        async (response) => {
          const type = response.headers.get('content-type') ?? '';
          if (response.ok && response.body !== null && type.startsWith('text/event-stream')) return response.body;
          const answered = problemIn(await response.json().catch(() => null));
          throw answered === null ? unreachable(`events.list: answered ${response.status}`) : errorOf(answered);
        },
      );
      readStream(body, listener, silenceMs, signal).catch((error: unknown) => {
        if (!signal.aborted) listener.lost(unreachable('the event stream was lost', error));
      });
      return { close: () => closed.abort() };
    },
  };
};
