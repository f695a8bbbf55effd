import { ProblemError } from '../../machines/error.ts';
import { isTerminalEvent, type Event } from '../../machines/event.ts';
import type { Capability, ClientType } from '../../machines/capability.ts';
import type { Registration } from '../operations/clients.ts';
import type { Execution } from '../operations/executions.ts';
import { MAX_WAIT } from '../operations/executions.ts';
import type { InputOf } from '../operations/table.ts';
import { pause } from './backoff.ts';
import { createHttpClient, type HttpClient, type HttpClientOptions } from './http.ts';
import type { FollowOptions } from './follow.ts';
import { handleEvents, type EventHandlers } from './handle.ts';
import { resultOf } from './result.ts';
import { createSessionView, viewOf, type SessionView } from './session-view.ts';

export interface ConnectOptions extends HttpClientOptions {
  /** The owner's API key. */
  readonly token: string;
  /** A session to join; without it a new one is made. */
  readonly session?: string;
  /** What this client is; default `cli`. */
  readonly client?: { readonly type: ClientType; readonly name?: string };
}

export interface JoinOptions extends Omit<HttpClientOptions, 'token'> {
  /** The token of the share. */
  readonly share: string;
  /** Credentials of one's own, which the client then belongs to; without them it belongs to the share. */
  readonly token?: string | null;
  /** What this client is; default `api`. */
  readonly client?: { readonly type: ClientType; readonly name?: string };
}

type ExecuteOptions = Omit<InputOf<'commands.execute'>, 'session_id' | 'command' | 'args' | 'dry_run' | 'wait'>;

export interface RunOptions extends ExecuteOptions {
  /** Ends the waiting, not the execution. */
  readonly signal?: AbortSignal;
  /** Hears of its progress meanwhile: 0 to 100, never falling. */
  readonly onProgress?: (progress: number, message: string | null) => void;
}

/** One client of one session. */
export interface SessionClient {
  readonly session_id: string;
  readonly client_id: string;
  /** Its bearer token and MQTT password. */
  readonly client_token: string;
  /** Every operation, as this client. */
  readonly http: HttpClient;
  /**
   * Starts a command; resolves when it is accepted, which is durable. Rejects with `webhook_required` where the client's
   * capability asks for one, as that of type `api` does by default: `run` waits instead.
   */
  execute(
    command: string,
    args?: Record<string, unknown>,
    options?: ExecuteOptions,
  ): Promise<{ readonly execution_id: string }>;
  /** Waits for the end of an execution, however long that takes. */
  ended(executionId: string, signal?: AbortSignal): Promise<Execution>;
  /** Waits for the end and resolves with the result. Rejects with the problem that ended it otherwise. */
  result(executionId: string, signal?: AbortSignal): Promise<unknown>;
  /** Runs a command to its end and resolves with its result. Rejects with the problem that ended it otherwise. */
  run(command: string, args?: Record<string, unknown>, options?: RunOptions): Promise<unknown>;
  /** The session's events after a `seq`: replayed, then as they happen. */
  follow(options?: FollowOptions): AsyncGenerator<Event, void, undefined>;
  /** Hands the session's events to their handlers by type, in order, until they end. */
  on(handlers: EventHandlers, options?: FollowOptions): Promise<void>;
  /** The events of one execution, up to the one that ends it. */
  followExecution(executionId: string, options?: FollowOptions): AsyncGenerator<Event, void, undefined>;
  /** A live view of the session; it goes on until the signal is aborted, the session ends, or `onError` is called. */
  view(options: { readonly signal: AbortSignal; readonly onError?: (error: unknown) => void }): Promise<SessionView>;
  /** Leaves the session: the token dies. */
  leave(): Promise<void>;
}

/** A client that came by a share. */
export interface JoinedClient extends SessionClient {
  /** What the share gave it, as it was at the joining. */
  readonly capabilities: readonly Capability[];
}

const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'timed_out']);
/** Seconds of one long-poll. */
const POLL = Math.min(30, MAX_WAIT);

/** Seconds for which a call waits whose progress is wanted: nobody knows its execution before it is answered. */
const START_WAIT = 0.1;
/** How long the last events of an execution may take that has ended. */
const LAST_NEWS_MS = 5_000;

/** Ends with the events, whatever becomes of them: the result is asked for beside them. */
const tellProgress = async (
  events: AsyncIterable<Event>,
  onProgress: NonNullable<RunOptions['onProgress']>,
): Promise<void> => {
  try {
    for await (const { type, data } of events)
      if (type === 'execution_progress')
        onProgress(Number(data['progress']), typeof data['message'] === 'string' ? data['message'] : null);
  } catch {
    // Progress is for the eyes: what matters of a lost connection, the result says.
  }
};

/** The client that a registration names. */
export const createSessionClient = (
  options: Omit<HttpClientOptions, 'token'>,
  { session_id, client_id, client_token }: Pick<Registration, 'session_id' | 'client_id' | 'client_token'>,
): SessionClient => {
  const http = createHttpClient({ ...options, token: client_token });

  const execute: SessionClient['execute'] = async (command, args = {}, more = {}) => {
    const accepted = await http.commands.execute({ ...more, session_id, command, args, wait: 0 });
    return { execution_id: (accepted as { execution_id: string }).execution_id };
  };

  const ended: SessionClient['ended'] = async (execution_id, signal) => {
    for (;;) {
      const execution = await http.executions.get({ execution_id, wait: POLL }, signal === undefined ? {} : { signal });
      if (ENDED.has(execution.status)) return execution;
    }
  };

  const follow: SessionClient['follow'] = (how) => http.follow({ ...how, session_id });
  const result: SessionClient['result'] = async (id, signal) => resultOf(http, await ended(id, signal));

  const session: SessionClient = {
    session_id,
    client_id,
    client_token,
    http,
    execute,
    ended,
    result,
    run: async (command, args = {}, { signal, onProgress, ...more } = {}) => {
      // Waited for from the start: who may not run unattended without a webhook may run so.
      const input = { ...more, session_id, command, args, wait: onProgress === undefined ? POLL : START_WAIT };
      const started = await http.commands.execute(input, signal === undefined ? {} : { signal });
      const { execution_id, status } = started as { execution_id: string; status: string };
      if (onProgress === undefined || ENDED.has(status)) return result(execution_id, signal);
      const watching = new AbortController();
      const stop = (): void => watching.abort();
      signal?.addEventListener('abort', stop, { once: true });
      const watch = tellProgress(session.followExecution(execution_id, { signal: watching.signal }), onProgress);
      try {
        return await result(execution_id, signal);
      } finally {
        // What was said before the end is told before the end.
        if (signal?.aborted !== true) await Promise.race([watch, pause(LAST_NEWS_MS, watching.signal)]);
        stop();
        signal?.removeEventListener('abort', stop);
        await watch;
      }
    },
    follow,
    on: (handlers, how) => handleEvents(follow(how), handlers),
    followExecution: async function* (execution_id, how) {
      for await (const event of follow(how)) {
        if (event.data['execution_id'] !== execution_id) continue;
        yield event;
        if (isTerminalEvent(event.type)) return;
      }
    },
    view: async ({ signal, onError = () => undefined }) => {
      const state = await http.sessions.get({ session_id }, { signal });
      const view = createSessionView(viewOf(state));
      const keepUp = async (): Promise<void> => {
        for await (const event of follow({ after: state.seq, signal })) view.send({ type: 'event', event });
      };
      keepUp().catch(onError);
      return view;
    },
    leave: async () => {
      await http.clients.leave({ session_id, client_id });
    },
  };
  return session;
};

/**
 * Becomes a client of a session, a new one or one of the caller's own, over HTTP and server-sent events. Rejects with a
 * `ProblemError`.
 */
export const connect = async (options: ConnectOptions): Promise<SessionClient> => {
  const { session, client = { type: 'cli' }, token: _, ...connection } = options;
  const owner = createHttpClient(options);
  const registration =
    session === undefined
      ? await owner.sessions.create({ client })
      : await owner.clients.register({ session_id: session, client });
  const { client_token } = registration;
  if (client_token === undefined) throw new ProblemError('internal', 'a new client was answered without its token');
  return createSessionClient(connection, { ...registration, client_token });
};

/**
 * Becomes a client of somebody's session by the token of a share, with credentials of one's own or without any. Its calls
 * are `unauthenticated` once the share is revoked or has expired. Rejects with a `ProblemError`: `unauthenticated` where
 * the token is wrong, or its share at an end; `conflict` where the session has no place left.
 */
export const joinSession = async (options: JoinOptions): Promise<JoinedClient> => {
  const { share, token = null, client = { type: 'api' }, ...connection } = options;
  const joined = await createHttpClient({ ...connection, token }).sessions.join({ token: share, client });
  return { ...createSessionClient(connection, joined), capabilities: joined.capabilities };
};
