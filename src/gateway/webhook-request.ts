import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { getBuiltinModule } from 'node:process';
import { urlToHttpOptions } from 'node:url';

// An import makes Node fill in every export of the module, `WebSocket` among them, for which it loads all of undici: 9 MB.
const http = getBuiltinModule('node:http');
const https = getBuiltinModule('node:https');

export interface WebhookRequest {
  readonly url: URL;
  /** Where to connect, whatever a name server says now. */
  readonly addresses: readonly LookupAddress[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Ends it; its reason is that of the answer. */
  readonly signal: AbortSignal;
  /** Bytes of an answer, with its head and whatever comes before it, that are read. */
  readonly answerBytes: number;
}

export type WebhookAnswer =
  | {
      readonly ok: true;
      readonly status: number;
      readonly location: string | undefined;
      readonly retryAfter: string | undefined;
    }
  | { readonly ok: false; readonly status: number | null; readonly reason: string };

const reasonOf = ({ code = '' }: NodeJS.ErrnoException): string => {
  if (code === 'HPE_HEADER_OVERFLOW') return 'answer_too_large';
  if (code.startsWith('HPE_')) return 'answer_malformed';
  // The code alone: messages have addresses in them.
  return /^\w+$/.test(code) ? `connection_failed (${code})` : 'connection_failed';
};

const pinned =
  (addresses: readonly LookupAddress[]): LookupFunction =>
  (_host, { all }, callback) => {
    const [first] = addresses;
    if (first === undefined) callback(new Error('there is no address to connect to'), '');
    else if (all === true) callback(null, [...addresses]);
    else callback(null, first.address, first.family);
  };

/**
 * Posts once, over a connection of its own, which is gone when this resolves; never rejects, but throws where a header
 * cannot be sent. The answer's body is read and thrown away. An answer is one when it is whole, or when its head is and the rest goes beyond the bound: whoever breaks
 * off or dawdles in the middle has not answered.
 */
export const postWebhook = (request: WebhookRequest): Promise<WebhookAnswer> => {
  const { url, addresses, headers, body, signal, answerBytes } = request;
  const { promise, resolve } = Promise.withResolvers<WebhookAnswer>();
  const outgoing = (url.protocol === 'https:' ? https : http).request({
    ...urlToHttpOptions(url),
    method: 'POST',
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    agent: false,
    lookup: pinned(addresses),
  });
  let answer: (WebhookAnswer & { ok: true }) | null = null;
  let received = 0;

  const end = (result: WebhookAnswer): void => {
    signal.removeEventListener('abort', abort);
    outgoing.destroy();
    resolve(result);
  };
  const fail = (reason: string): void => end({ ok: false, status: answer?.status ?? null, reason });
  const abort = (): void => fail(String(signal.reason));

  // All that is received counts, not only what is handed on: interim answers, the extensions of chunks and trailers are
  // without end too. The parser has listened before, so an answer whose head is in these bytes is known.
  const count = (chunk: Buffer): void => {
    received += chunk.length;
    if (received <= answerBytes) return;
    if (answer === null) fail('answer_too_large');
    else end(answer);
  };
  outgoing.on('socket', (socket) => socket.on('data', count));
  outgoing.on('response', (incoming) => {
    const { statusCode = 0, headers: head } = incoming;
    answer = { ok: true, status: statusCode, location: head.location, retryAfter: head['retry-after'] };
    const given = answer;
    incoming.on('end', () => end(given));
    // What it dies of is said by the end of the connection, which comes first.
    incoming.on('error', () => {});
    incoming.resume();
    outgoing.on('close', () => (incoming.complete ? end(given) : fail('answer_cut_off')));
  });
  outgoing.on('error', (error) => fail(reasonOf(error)));
  outgoing.on('close', () => {
    if (answer === null) fail('connection_failed');
  });

  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort);
  outgoing.end(body);
  return promise;
};
