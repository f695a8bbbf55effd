import { createPace } from './agent-pace.ts';

export type Stream = 'stdout' | 'stderr';

/** Bytes of one run's output that may be waiting or not yet durable before `await ctx.output()` waits. */
export const OUTPUT_WINDOW = 256 * 1024;
/** Bytes of a chunk as JSON: an event has 64 KiB, metadata included. */
const CHUNK_BYTES = 60 * 1024;
const CHUNKS_PER_SECOND = 20;
/** What is written in one go becomes one chunk. */
const JOIN_MS = 1;

export interface Output {
  write(chunk: string, bytes: number, stream: Stream): void;
  /** Resolves when there is room; rejects with the reason once the run was stopped. */
  room(): Promise<void>;
  /** So many bytes that were sent are durable. */
  credit(bytes: number): void;
  /** Resolves when all is sent. */
  drain(): Promise<void>;
  /** Drops what is waiting: nobody will read it. */
  discard(reason: unknown): void;
}

export interface OutputOptions {
  readonly send: (stream: Stream, chunk: string, bytes: number) => void;
  /** Milliseconds of any clock. */
  readonly now: () => number;
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;

/** The longest beginning of `text` that fits into a chunk; never half a character. */
const beginning = (text: string): string => {
  let length = Math.min(text.length, CHUNK_BYTES);
  for (;;) {
    if (length > 1 && length < text.length && isHighSurrogate(text.charCodeAt(length - 1))) length -= 1;
    const piece = text.slice(0, length);
    const size = Buffer.byteLength(JSON.stringify(piece));
    if (size <= CHUNK_BYTES) return piece;
    length = Math.max(1, Math.floor((length * CHUNK_BYTES) / size) - 1);
  }
};

/**
 * Joins what a handler writes into few chunks, per stream and in order, and holds back what the pool has not yet made
 * durable (contract, section 4). Nothing is dropped unless the run is stopped.
 */
export const createOutput = ({ send, now }: OutputOptions): Output => {
  const pace = createPace(CHUNKS_PER_SECOND);
  const texts: Record<Stream, string> = { stdout: '', stderr: '' };
  /** Streams that have text, the longest waiting first. */
  let streams: Stream[] = [];
  let buffered = 0;
  let inFlight = 0;
  let hurry = false;
  let stopped: { readonly reason: unknown } | null = null;
  let timer: NodeJS.Timeout | undefined;
  let waiting: { readonly resolve: () => void; readonly reject: (reason: unknown) => void }[] = [];
  let drained: (() => void) | null = null;

  const sendNext = (): void => {
    const stream = streams.shift() as Stream;
    const chunk = beginning(texts[stream]);
    texts[stream] = texts[stream].slice(chunk.length);
    if (texts[stream] !== '') streams.push(stream);
    const bytes = Buffer.byteLength(chunk);
    buffered -= bytes;
    inFlight += bytes;
    pace.sent(now());
    send(stream, chunk, bytes);
  };

  const pump = (): void => {
    clearTimeout(timer);
    timer = undefined;
    while (streams.length > 0 && inFlight < OUTPUT_WINDOW) {
      const wait = pace.wait(now(), hurry);
      if (wait > 0) {
        timer = setTimeout(pump, wait);
        return;
      }
      sendNext();
    }
    if (streams.length === 0) drained?.();
  };

  const hasRoom = (): boolean => buffered + inFlight < OUTPUT_WINDOW;

  return {
    write: (chunk, bytes, stream) => {
      if (stopped !== null || chunk === '') return;
      if (texts[stream] === '') streams.push(stream);
      texts[stream] += chunk;
      buffered += bytes;
      timer ??= setTimeout(pump, JOIN_MS);
    },
    room: () => {
      if (stopped !== null) return Promise.reject(stopped.reason);
      if (hasRoom()) return Promise.resolve();
      return new Promise((resolve, reject) => void waiting.push({ resolve, reject }));
    },
    credit: (bytes) => {
      inFlight -= bytes;
      if (hasRoom()) {
        for (const { resolve } of waiting) resolve();
        waiting = [];
      }
      if (timer === undefined) pump();
    },
    drain: () => {
      if (streams.length === 0) return Promise.resolve();
      return new Promise((resolve) => {
        drained = resolve;
        hurry = true;
        pump();
      });
    },
    discard: (reason) => {
      stopped = { reason };
      clearTimeout(timer);
      timer = undefined;
      streams = [];
      for (const { reject } of waiting) reject(reason);
      waiting = [];
      drained?.();
    },
  };
};
