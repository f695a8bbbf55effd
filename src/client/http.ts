import { encodeHttpRequest } from '../operations/http-request.ts';
import type { Operation } from '../operations/operation.ts';
import { OPERATION_TABLE } from '../operations/table.ts';
import { createMethods, type Call, type Client } from './client.ts';
import { errorOf, problemIn, unreachable } from './failure.ts';
import { followEvents, type FollowOptions } from './follow.ts';
import type { Event } from '../../machines/event.ts';
import { fetchWithin, type HttpConnection } from './http-fetch.ts';
import { createSseFeed } from './sse.ts';

export interface HttpClientOptions extends HttpConnection {
  /** Milliseconds for an answer, beside what the call itself waits for; default 15,000. */
  readonly timeoutMs?: number;
}

export interface HttpFollowOptions extends FollowOptions {
  readonly session_id: string;
}

/** The gateway over HTTP. */
export interface HttpClient extends Client {
  /** The events of a session after a `seq`: replayed, then as they happen (server-sent events). */
  follow(options: HttpFollowOptions): AsyncGenerator<Event, void, undefined>;
}

const DEFAULT_TIMEOUT_MS = 15_000;
/** Seconds for which the server waits where the input does not say (contract, section 2). */
const DEFAULT_WAIT = 30;

/** The answer of an operation, or its problem as an error. */
const readAnswer = async (operation: Operation, response: Response): Promise<unknown> => {
  if (response.ok && operation.http.binary) return new Uint8Array(await response.arrayBuffer());
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw unreachable(`${operation.name}: answered ${response.status} without JSON`, error);
  }
  if (response.ok) return body;
  const answered = problemIn(body);
  throw answered === null ? unreachable(`${operation.name}: answered ${response.status}`) : errorOf(answered);
};

/** Makes a client of the HTTP binding. Every call is one request: nothing is repeated by itself. */
export const createHttpClient = (options: HttpClientOptions): HttpClient => {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;

  const call: Call = async (name, input: Readonly<Record<string, unknown>>, limits = {}) => {
    const operation = OPERATION_TABLE[name] as unknown as Operation;
    const { method, path, headers, body } = encodeHttpRequest(operation, input);
    const wait = input['wait'] ?? (name === 'commands.execute' ? DEFAULT_WAIT : 0);
    const answer = await fetchWithin(
      options,
      path,
      {
        method,
        headers: { accept: 'application/json, application/problem+json, */*;q=0.1', ...headers },
        ...(body === undefined ? {} : { body }),
      },
      {
        signal: limits.signal,
        timeoutMs: (limits.timeoutMs ?? timeoutMs) + (typeof wait === 'number' ? wait * 1000 : 0),
        what: name,
      },
      (response) => readAnswer(operation, response),
    );
    return answer as never;
  };

  return {
    ...createMethods(call),
    call,
    follow: ({ session_id, ...follow }) =>
      followEvents(createSseFeed({ connection: options, session_id, call, timeoutMs }), follow),
  };
};
