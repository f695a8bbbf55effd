import { createStore } from '@xstate/store';
import type { Event } from '../../machines/event.ts';
import { isTerminalEvent } from '../../machines/event.ts';
import type { Problem } from '../../machines/error.ts';
import type { Client as SessionClient } from '../operations/clients.ts';
import type { ExecutionStatus } from '../operations/executions.ts';
import type { SessionState } from '../operations/sessions.ts';

export interface ViewedClient {
  readonly client_id: string;
  readonly type: string;
  readonly name: string | null;
  readonly principal: string;
  readonly status: SessionClient['status'];
}

export interface ViewedExecution {
  readonly execution_id: string;
  readonly command: string;
  readonly status: ExecutionStatus;
  /** 0 to 100. */
  readonly progress: number;
  /** What the command said last. */
  readonly message: string | null;
  readonly attempts: number;
  readonly error: Problem | null;
}

export interface ViewedCoordination {
  readonly coordination_id: string;
  readonly operation: string;
  readonly description: string;
  readonly requested_by: string;
  readonly required_confirmations: number;
  readonly confirmations: number;
  readonly rejections: number;
  readonly expires_at: string;
}

export interface ViewedSession {
  /** The last event that is in here; 0 for none. */
  readonly seq: number;
  readonly status: SessionState['status'];
  readonly owner: string | null;
  /** Those that have not left. */
  readonly clients: Readonly<Record<string, ViewedClient>>;
  /** All that have not ended, and the last that have, oldest first. */
  readonly executions: Readonly<Record<string, ViewedExecution>>;
  /** The open questions. */
  readonly coordinations: Readonly<Record<string, ViewedCoordination>>;
}

/** Ended executions that stay in the view. */
const KEPT = 50;

const EMPTY: ViewedSession = { seq: 0, status: 'active', owner: null, clients: {}, executions: {}, coordinations: {} };

const STATUS_BY_EVENT: Readonly<Record<string, ExecutionStatus>> = {
  execution_queued: 'queued',
  execution_started: 'running',
  execution_waiting: 'waiting',
  execution_retrying: 'retrying',
  execution_completed: 'completed',
  execution_failed: 'failed',
  execution_cancelled: 'cancelled',
  execution_timed_out: 'timed_out',
};
const ENDED: ReadonlySet<ExecutionStatus> = new Set(['completed', 'failed', 'cancelled', 'timed_out']);

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

const applyToClients = (
  clients: ViewedSession['clients'],
  { type, data, metadata }: Event,
): ViewedSession['clients'] => {
  const id = String(data['client_id']);
  if (type === 'client_left') {
    const { [id]: _, ...rest } = clients;
    return rest;
  }
  const known = clients[id];
  if (type === 'client_detached')
    return known === undefined ? clients : { ...clients, [id]: { ...known, status: 'detached' } };
  const joined: ViewedClient = {
    client_id: id,
    type: text(data['type']) ?? 'api',
    name: text(data['name']),
    principal: text(data['principal']) ?? metadata.principal ?? '',
    status: 'attached',
  };
  return { ...clients, [id]: joined };
};

/** Forgets the oldest of those that have ended. */
const prune = (executions: ViewedSession['executions']): ViewedSession['executions'] => {
  const all = Object.entries(executions);
  let excess = all.filter(([, { status }]) => ENDED.has(status)).length - KEPT;
  if (excess <= 0) return executions;
  return Object.fromEntries(all.filter(([, { status }]) => !ENDED.has(status) || (excess -= 1) < 0));
};

const applyToExecutions = (
  executions: ViewedSession['executions'],
  { type, data }: Event,
): ViewedSession['executions'] => {
  const id = String(data['execution_id']);
  const known: ViewedExecution = executions[id] ?? {
    execution_id: id,
    command: text(data['command']) ?? '',
    status: 'queued',
    progress: 0,
    message: null,
    attempts: 0,
    error: null,
  };
  const problem = (data['error'] ?? data['problem'] ?? null) as Problem | null;
  const next: ViewedExecution = {
    ...known,
    command: text(data['command']) ?? known.command,
    status: STATUS_BY_EVENT[type] ?? known.status,
    progress:
      type === 'execution_completed' ? 100 : typeof data['progress'] === 'number' ? data['progress'] : known.progress,
    message: text(data['message']) ?? known.message,
    attempts: typeof data['attempt'] === 'number' ? data['attempt'] : known.attempts,
    error: isTerminalEvent(type) || type === 'execution_retrying' ? problem : known.error,
  };
  const all = { ...executions, [id]: next };
  return isTerminalEvent(type) ? prune(all) : all;
};

const applyToCoordinations = (
  coordinations: ViewedSession['coordinations'],
  { type, data }: Event,
): ViewedSession['coordinations'] => {
  const id = String(data['coordination_id']);
  const { [id]: known, ...others } = coordinations;
  if (type === 'coordination_request') {
    const asked: ViewedCoordination = {
      coordination_id: id,
      operation: text(data['operation']) ?? '',
      description: text(data['description']) ?? '',
      requested_by: text((data['requested_by'] as { principal?: unknown } | undefined)?.principal) ?? '',
      required_confirmations: Number(data['required_confirmations']),
      confirmations: 0,
      rejections: 0,
      expires_at: text(data['expires_at']) ?? '',
    };
    return { ...others, [id]: asked };
  }
  if (type !== 'coordination_vote') return others;
  if (known === undefined) return coordinations;
  const [confirmations, rejections] = [Number(data['confirmations']), Number(data['rejections'])];
  return { ...coordinations, [id]: { ...known, confirmations, rejections } };
};

/** The session after one more event. An event that is in already changes nothing. */
export const applyEvent = (session: ViewedSession, event: Event): ViewedSession => {
  if (event.seq <= session.seq) return session;
  const next = { ...session, seq: event.seq };
  switch (event.type) {
    case 'session_opened':
      return { ...next, status: 'active', owner: text(event.data['owner']) ?? session.owner };
    case 'session_resumed':
      return { ...next, status: 'active' };
    case 'session_suspended':
      return { ...next, status: 'suspended' };
    case 'session_closed':
    case 'session_expired':
      return {
        ...next,
        status: event.type === 'session_closed' ? 'closed' : 'expired',
        clients: {},
        coordinations: {},
      };
    case 'client_joined':
    case 'client_detached':
    case 'client_left':
      return { ...next, clients: applyToClients(session.clients, event) };
    default:
      if (event.type.startsWith('coordination_'))
        return { ...next, coordinations: applyToCoordinations(session.coordinations, event) };
      return event.type.startsWith('execution_') && event.type !== 'execution_output'
        ? { ...next, executions: applyToExecutions(session.executions, event) }
        : next;
  }
};

/** What `sessions.get` answers, as a view: the events after its `seq` go on from there. */
export const viewOf = ({ seq, status, owner, clients, executions, coordinations }: SessionState): ViewedSession => ({
  seq,
  status,
  owner,
  clients: Object.fromEntries(
    clients.map(({ client_id, type, name, principal, status: standing }) => [
      client_id,
      { client_id, type, name, principal, status: standing },
    ]),
  ),
  coordinations: Object.fromEntries(
    coordinations.map(({ requested_by, confirmations, rejections, ...question }) => {
      const { coordination_id, operation, description, required_confirmations, expires_at } = question;
      const counts = { confirmations: confirmations.length, rejections: rejections.length };
      const shown = { operation, description, required_confirmations, expires_at, ...counts };
      return [coordination_id, { coordination_id, requested_by: requested_by.principal, ...shown }];
    }),
  ),
  executions: Object.fromEntries(
    executions.map(({ execution_id, command, status: standing, progress, attempts, error }) => [
      execution_id,
      {
        execution_id,
        command,
        status: standing,
        progress,
        attempts,
        message: null,
        error: (error ?? null) as Problem | null,
      },
    ]),
  ),
});

/** A live view of a session as a store: `send({ type: 'event', event })` brings it on, `subscribe` tells of changes. */
export const createSessionView = (start: ViewedSession = EMPTY) =>
  createStore({
    context: start,
    on: {
      event: (session: ViewedSession, { event }: { readonly event: Event }) => applyEvent(session, event),
      state: (_: ViewedSession, { state }: { readonly state: SessionState }) => viewOf(state),
    },
  });

export type SessionView = ReturnType<typeof createSessionView>;
