import { createHash } from 'node:crypto';
import type { Event } from '../../machines/event.ts';
import type { Json, ServerProcess } from '../support/server.ts';

/** A session as it was when it was recorded. */
export interface ExpectedSession {
  readonly session_id: string;
  readonly status: string;
  readonly owner: string;
  /** How many events there are, densely numbered from 1, and the SHA-256 of their JSON texts, a line each. */
  readonly seq: number;
  readonly events: string;
  /** As `executions.get` has shown them. */
  readonly executions: readonly Json[];
  /** As `clients.list` and `shares.list` have shown them. */
  readonly clients: readonly Json[];
  readonly shares: readonly Json[];
}

/** What `kill -9` has caught: accepted, and not ended. */
export interface ExpectedUnfinished {
  readonly execution_id: string;
  readonly session_id: string;
  readonly status: 'queued' | 'running';
}

/** What golden data holds, as its makers saw it from outside. */
export interface Expected {
  readonly version: string;
  readonly commit: string;
  /** RFC 3339; the data is opened as if a minute had passed since. */
  readonly made_at: string;
  readonly sessions: readonly ExpectedSession[];
  readonly unfinished: readonly ExpectedUnfinished[];
  /** The same call answers with this execution. */
  readonly repeat: { readonly session_id: string; readonly body: Json; readonly execution_id: string };
  readonly share: { readonly session_id: string; readonly share_id: string; readonly token: string };
  readonly revoked_share_token: string;
  readonly client: { readonly session_id: string; readonly client_id: string; readonly client_token: string };
  readonly keys: { readonly alice: string; readonly revoked: string };
  readonly audit: { readonly records: number; readonly head: string };
}

export const digestOf = (events: readonly Event[]): string =>
  createHash('sha256')
    .update(events.map((event) => JSON.stringify(event)).join('\n'))
    .digest('hex');

export const listOf = async (server: ServerProcess, path: string, token: string): Promise<Json[]> => {
  const { status, body, text } = await server.call('GET', path, { token });
  if (status !== 200) throw new Error(`${path}: ${text}`);
  return body.items;
};

/** Events of a session with the key of its owner, from the first. */
export const eventsOf = async (server: ServerProcess, session: string, token: string): Promise<Event[]> => {
  const all: Event[] = [];
  for (let from: number | null = 0; from !== null; ) {
    const { status, body, text } = await server.call('GET', `/v1/sessions/${session}/events?after=${from}`, { token });
    if (status !== 200) throw new Error(`events of ${session}: ${text}`);
    all.push(...(body.events as Event[]));
    from = body.next as number | null;
  }
  return all;
};

/** Records a session as its owner sees it. */
export const recordSession = async (
  server: ServerProcess,
  session: string,
  token: string,
): Promise<ExpectedSession> => {
  const { body } = await server.call('GET', `/v1/sessions/${session}`, { token });
  const events = await eventsOf(server, session, token);
  const executions = await listOf(server, `/v1/sessions/${session}/executions?limit=1000`, token);
  return {
    session_id: session,
    status: body.status,
    owner: body.owner,
    seq: events.length,
    events: digestOf(events),
    executions: executions.toSorted((a, b) => (a.execution_id < b.execution_id ? -1 : 1)),
    clients: await listOf(server, `/v1/sessions/${session}/clients`, token),
    shares: await listOf(server, `/v1/sessions/${session}/shares`, token),
  };
};
