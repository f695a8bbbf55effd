import { deadlinePassed, unreachable } from './failure.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface HttpConnection {
  /** Where the gateway is, without a path: `http://127.0.0.1:7070`. */
  readonly url: string;
  /** An API key, or the token of a client. Null sends no credentials, without which `sessions.join` alone is answered. */
  readonly token: string | null;
  /** Default the global `fetch`. */
  readonly fetch?: Fetch;
}

export interface FetchLimits {
  /** Of the caller. */
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
  /** Names the request in errors. */
  readonly what: string;
}

/** The gateway's address with a path. */
const urlOf = ({ url }: HttpConnection, path: string): string => url.replace(/\/+$/, '') + path;

/**
 * Sends a request and reads the answer within one deadline. Rejects with `unavailable` where there is no connection,
 * `timed_out` at the deadline, the reason of the caller's signal where it ends the call.
 */
export const fetchWithin = async <T>(
  connection: HttpConnection,
  path: string,
  init: RequestInit,
  { signal, timeoutMs, what }: FetchLimits,
  read: (response: Response) => Promise<T>,
): Promise<T> => {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  const send = connection.fetch ?? fetch;
  try {
    const response = await send(urlOf(connection, path), {
      ...init,
      headers: {
        ...(init.headers as Record<string, string>),
        ...(connection.token === null ? {} : { authorization: `Bearer ${connection.token}` }),
      },
      // The token must not follow to another address.
      redirect: 'error',
      signal: signal === undefined ? deadline.signal : AbortSignal.any([deadline.signal, signal]),
    });
    return await read(response);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (deadline.signal.aborted) throw deadlinePassed(what, timeoutMs, error);
    // `fetch` and the reading of bodies reject with a TypeError for all that the network does.
    if (error instanceof TypeError) throw unreachable(`${what}: no connection to ${connection.url}`, error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
};
