import { ProblemError } from '../../machines/error.ts';
import { artifactsGet } from '../operations/executions.ts';
import { encodeHttpRequest } from '../operations/http-request.ts';
import type { Operation } from '../operations/operation.ts';
import { pause, reconnectDelay } from './backoff.ts';
import { errorOf, isRetryable, problemIn, unreachable } from './failure.ts';
import { fetchWithin, type HttpConnection } from './http-fetch.ts';

export interface ReadArtifactOptions {
  readonly execution_id: string;
  readonly name: string;
  /** As the execution shows the artifact: nothing else is read, and it is all that is read. */
  readonly bytes: number;
  readonly sha256: string;
  /** Ends the reading: it throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds for the answer to begin, and for the next bytes; default 15,000. */
  readonly timeoutMs?: number;
  /** Milliseconds without a byte after which the last error is thrown; default 60,000. */
  readonly giveUpMs?: number;
}

const operation = artifactsGet as unknown as Operation;
const NEVER = new AbortController().signal;

/** The bytes of an answer; throws where none come for `silenceMs`. */
const bytesOf = async function* (body: ReadableStream<Uint8Array>, silenceMs: number): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  const stop = (): void => void reader.cancel().catch(() => undefined);
  try {
    for (;;) {
      const silence = setTimeout(stop, silenceMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      yield value;
    }
  } finally {
    stop();
  }
};

/**
 * Reads an artifact of any size, piece by piece, as fast as the pieces are taken. After a lost connection it goes on where
 * it was (RFC 9110, section 14.2), but only in the same content. Throws a `ProblemError` for what another attempt would
 * not change (`not_found`, `conflict` where the content is another), and when it gives up. That the bytes have the
 * SHA-256 is for the reader to see.
 */
export async function* readArtifact(
  connection: HttpConnection,
  options: ReadArtifactOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { execution_id, name, bytes, sha256, signal = NEVER, timeoutMs = 15_000, giveUpMs = 60_000 } = options;
  const { path } = encodeHttpRequest(operation, { execution_id, name });
  const tag = `"${sha256}"`;
  let at = 0;
  let failures = 0;
  let failingSince = 0;

  const open = (): Promise<ReadableStream<Uint8Array> | null> =>
    fetchWithin(
      connection,
      path,
      { headers: at === 0 ? {} : { range: `bytes=${at}-`, 'if-range': tag } },
      { signal, timeoutMs, what: operation.name },
      async (response) => {
        if (!response.ok) {
          const answered = problemIn(await response.json().catch(() => null));
          throw answered === null ? unreachable(`${operation.name}: answered ${response.status}`) : errorOf(answered);
        }
        if (response.headers.get('etag') === tag && response.status === (at === 0 ? 200 : 206)) return response.body;
        await response.body?.cancel();
        throw new ProblemError('conflict', 'the artifact is not the one that was asked for');
      },
    );

  while (at < bytes) {
    try {
      const body = await open();
      for await (const piece of body === null ? [] : bytesOf(body, timeoutMs)) {
        failures = 0;
        at += piece.byteLength;
        yield piece;
      }
      if (at < bytes) throw unreachable(`${operation.name}: ended after ${at} of ${bytes} bytes`);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // What the network does to a body is a TypeError.
      if (!(error instanceof TypeError) && !isRetryable(error)) throw error;
      const now = performance.now();
      failingSince = failures === 0 ? now : failingSince;
      failures += 1;
      if (now - failingSince >= giveUpMs)
        throw error instanceof TypeError ? unreachable(`${operation.name}: the connection was lost`, error) : error;
      await pause(reconnectDelay(failures), signal);
    }
  }
}
