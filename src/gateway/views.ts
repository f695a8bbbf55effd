import type { StoredActor } from '../../actors/reads.ts';
import type { ClientContext } from '../../machines/client.ts';
import { problem, type Problem } from '../../machines/error.ts';
import { timestamp } from '../../machines/event.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { SessionId } from '../../machines/id.ts';
import { masked } from '../../machines/mask.ts';
import type { SessionContext } from '../../machines/session-context.ts';
import type { ShareContext } from '../../machines/share.ts';
import { eventFilter, stateTopic } from '../../machines/topic.ts';
import type { Client } from '../operations/clients.ts';
import type { Execution, ExecutionStatus } from '../operations/executions.ts';
import type { Session } from '../operations/sessions.ts';
import type { Share } from '../operations/shares.ts';

/** Stored actors as the wire shows them: the only place that knows both. */

export const sessionView = ({ state, context }: StoredActor): Session => {
  const { session_id, owner, ttl_ms, opened_at } = context as unknown as SessionContext;
  return {
    session_id,
    status: state as Session['status'],
    owner,
    ttl: ttl_ms / 1000,
    created_at: timestamp(opened_at ?? 0),
    event_channel: eventFilter(session_id),
    state_channel: stateTopic(session_id),
  };
};

export const clientView = ({ state, context }: StoredActor): Client => {
  const { client_id, session_id, type, name, principal, joined_at, ...more } = context as unknown as ClientContext;
  return {
    client_id,
    session_id,
    type,
    name,
    principal,
    // Those of a release without shares have none.
    via_share: (more as Partial<ClientContext>).via_share ?? null,
    status: state as Client['status'],
    joined_at: timestamp(joined_at ?? 0),
  };
};

export const shareView = ({ state, context }: StoredActor): Share => {
  const { share_id, session_id, title, capability, issuer, created_at } = context as unknown as ShareContext;
  return {
    share_id,
    session_id,
    label: title,
    status: state as Share['status'],
    capability,
    created_by: issuer,
    created_at: timestamp(created_at ?? 0),
    expires_at: capability.constraints.expires_at ?? null,
  };
};

/** Where the artifact of an execution is read. */
const artifactUrl = (execution: string, name: string): string =>
  `/v1/executions/${execution}/artifacts/${encodeURIComponent(name)}`;

/** The artifact that stands for a result above the inline bound. */
const RESULT = 'result';

interface Outcome {
  readonly status: string;
  readonly result?: unknown;
  readonly error?: Problem | null;
  readonly artifacts?: readonly { readonly name: string }[];
}

/** How an execution ended: `result`, `result_url` or `error`; nothing where it has not. */
const outcome = (
  execution: string,
  { status, result, error, artifacts = [] }: Outcome,
): Pick<Execution, 'result' | 'result_url' | 'error'> => {
  const failed = (why: Problem) => ({ error: why as unknown as NonNullable<Execution['error']> });
  if (error) return failed(error);
  if (status === 'failed') return failed(problem('actor_failed', 'the execution was given up'));
  if (status === 'cancelled') return failed(problem('cancelled', 'the execution was cancelled'));
  if (status !== 'completed') return {};
  return artifacts.some(({ name }) => name === RESULT) ? { result_url: artifactUrl(execution, RESULT) } : { result };
};

export const executionView = ({ id, state, context }: StoredActor): Execution => {
  const execution = context as unknown as ExecutionContext;
  const { session_id, command, args, progress, attempts, started_by, accepted_at, ended_at } = execution;
  return {
    execution_id: id,
    session_id,
    status: state as ExecutionStatus,
    command: command.name,
    args: masked(args, command.secrets),
    progress,
    attempts,
    started_by,
    created_at: timestamp(accepted_at ?? 0),
    ended_at: ended_at === null ? null : timestamp(ended_at),
    artifacts: [...execution.artifacts],
    ...outcome(id, { status: state, ...pick(execution) }),
  };
};

const pick = ({ result, error, artifacts }: ExecutionContext) => ({ result, error, artifacts });

const TERMINAL_PREFIX = 'execution_';

/** The answer to a call that waited, from the event that ended the execution. */
export const endedView = (eventJson: string): Record<string, unknown> => {
  const { type, data } = JSON.parse(eventJson) as {
    type: string;
    data: { execution_id: string } & Omit<Outcome, 'status'>;
  };
  const status = type.slice(TERMINAL_PREFIX.length);
  return { execution_id: data.execution_id, status, mode: 'sync', ...outcome(data.execution_id, { status, ...data }) };
};

/** The same from the stored execution, where it had ended before the wait began. */
export const endedViewOf = (stored: StoredActor): Record<string, unknown> => {
  const { execution_id, status, result, result_url, error } = executionView(stored);
  return {
    execution_id,
    status,
    mode: 'sync',
    ...(error === undefined ? (result_url === undefined ? { result } : { result_url }) : { error }),
  };
};

export const pendingView = (execution: string, question?: unknown): Record<string, unknown> => ({
  execution_id: execution,
  status: 'pending',
  mode: 'async',
  poll_url: `/v1/executions/${execution}`,
  ...(question === undefined ? {} : { coordination_id: question }),
});

/** What a new client is told besides its token. */
export const channelsView = (session: SessionId) => ({
  event_channel: eventFilter(session),
  state_channel: stateTopic(session),
  webhook_url: `/v1/sessions/${session}/webhooks`,
});
