import { setup } from 'xstate';
import { sessionAddress } from './address.ts';
import { fullJitter } from './backoff.ts';
import type { ArtifactInfo, CommandFacts } from './command.ts';
import { UNBOUND, act, event, isDue, refusal, reply, send } from './convention.ts';
import type { Convention, Step } from './convention.ts';
import type { Effect } from './effect.ts';
import { problem } from './error.ts';
import type { Problem } from './error.ts';
import type { Severity } from './event.ts';
import type { CapabilityId, ExecutionId, SessionId } from './id.ts';
import type { Caller, DeadlineMessage, ExecutionMessage, SessionMessage, Taken } from './message.ts';

/** All that `executions.get` shows; blank only in the state `new`. */
export interface ExecutionContext extends Convention {
  readonly session_id: SessionId;
  readonly execution_id: ExecutionId;
  readonly command: CommandFacts;
  readonly args: unknown;
  readonly started_by: Caller;
  readonly capability_id: CapabilityId;
  readonly charged: readonly string[];
  readonly idempotency_key: string | null;
  readonly priority: number;
  readonly timeout_ms: number;
  /** 0 to 100; never falls, also over attempts. */
  readonly progress: number;
  /** How many runs were started; the number of the current one. */
  readonly attempts: number;
  readonly result: unknown;
  readonly error: Problem | null;
  readonly artifacts: readonly ArtifactInfo[];
  /** These three in ms since the epoch. `started_at` is the first run's. */
  readonly accepted_at: number | null;
  readonly started_at: number | null;
  readonly ended_at: number | null;
}

/** Between a failed run and the next place in the queue. */
const RETRY_BACKOFF = { base_ms: 1_000, cap_ms: 60_000 };

type Incoming = (ExecutionMessage | DeadlineMessage) & Taken;
type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
type Outcome = 'completed' | 'failed' | 'cancelled' | 'timed_out';
type Now = Step<ExecutionContext>;

const expiry = (context: ExecutionContext): number => (context.accepted_at ?? 0) + context.timeout_ms;

const tellSession = (context: ExecutionContext, message: SessionMessage): Effect =>
  send(sessionAddress(context.session_id), message);

/** Whether the session counts it as queued. */
const tellQueued = (context: ExecutionContext, queued: boolean): Effect =>
  tellSession(context, { type: 'execution.changed', execution_id: context.execution_id, queued });

const fact = (
  context: ExecutionContext,
  type: 'queued' | 'started' | 'progress' | 'output' | 'retrying' | Outcome,
  data: Record<string, unknown>,
  severity?: Severity,
): Effect => {
  const { execution_id } = context;
  return event(`execution_${type}`, execution_id, { execution_id, ...data }, severity);
};

/** The next run. The attempt is counted in the snapshot of the same turn, hence durably before the handler runs. */
const run = (context: ExecutionContext, at: number): Required<Now> => {
  const attempt = context.attempts + 1;
  const { execution_id, command, args, idempotency_key } = context;
  return {
    change: {
      attempts: attempt,
      started_at: context.started_at ?? at,
      deadline: expiry(context),
      waits: `run:${attempt}`,
    },
    effects: [
      fact(context, 'started', { attempt }),
      {
        type: 'run',
        run: { execution_id, attempt, command: command.name, args, idempotency_key: idempotency_key ?? execution_id },
      },
    ],
  };
};

const enqueue = (context: ExecutionContext): Required<Now> => ({
  change: { deadline: expiry(context), waits: `enqueue:${context.priority}` },
  effects: [{ type: 'enqueue', execution_id: context.execution_id, priority: context.priority }],
});

/** The one way to end: one terminal event, no deadline and no wait left, and the session knows. */
const end = (
  context: ExecutionContext,
  at: number,
  outcome: Outcome,
  change: Partial<ExecutionContext>,
  data: Record<string, unknown>,
  severity?: Severity,
  effects: readonly Effect[] = [],
): Now => ({
  change: { ...change, ended_at: at, deadline: null, waits: null },
  effects: [
    fact(context, outcome, data, severity),
    ...effects,
    tellSession(context, {
      type: 'execution.ended',
      execution_id: context.execution_id,
      charged: context.charged,
    }),
  ],
});

const ranFor = (context: ExecutionContext, at: number): number => Math.max(0, at - (context.started_at ?? at));

const accept = (blank: ExecutionContext, message: Of<'execution.accept'>): Now => {
  const { session_id, execution_id, command, args, caller, capability_id, charged, timeout_ms, priority } = message;
  const { idempotency_key, at } = message;
  const accepted: Partial<ExecutionContext> = {
    session_id,
    execution_id,
    command,
    args,
    capability_id,
    charged,
    timeout_ms,
    priority,
    idempotency_key,
    started_by: caller,
    accepted_at: at,
  };
  const context = { ...blank, ...accepted };
  const next = message.reserved ? run(context, at) : enqueue(context);
  return {
    change: { ...accepted, ...next.change },
    effects: [
      fact(context, 'queued', { command: command.name, priority, timeout_ms, started_by: caller }),
      ...next.effects,
      reply({ execution_id, status: 'pending' }),
    ],
  };
};

const start = (context: ExecutionContext, { at }: Of<'execution.start'>): Now => {
  const next = run(context, at);
  return { ...next, effects: [...next.effects, tellQueued(context, false)] };
};

const progress = (context: ExecutionContext, message: Of<'execution.progress'>): Now => {
  const told = Number.isFinite(message.progress) ? message.progress : 0;
  const reached = Math.max(context.progress, Math.min(100, told));
  return {
    change: { progress: reached },
    effects: [
      fact(context, 'progress', { progress: reached, message: message.message, metadata: message.metadata }, 'debug'),
    ],
  };
};

const output = (context: ExecutionContext, { stream, chunk }: Of<'execution.output'>): Now => ({
  effects: [fact(context, 'output', { stream, chunk }, 'debug')],
});

const complete = (context: ExecutionContext, { at, result, artifacts }: Of<'execution.complete'>): Now =>
  end(context, at, 'completed', { result, artifacts }, { result, artifacts, duration_ms: ranFor(context, at) });

const mayRetry = (context: ExecutionContext, retryable: boolean): boolean =>
  retryable && context.attempts < context.command.max_attempts;

const retry = (context: ExecutionContext, message: Of<'execution.fail'>): Now => {
  const attempt = context.attempts;
  const delay_ms = fullJitter(attempt, message.random, RETRY_BACKOFF);
  return {
    change: { deadline: Math.min(expiry(context), message.at + delay_ms), waits: null },
    effects: [fact(context, 'retrying', { attempt, delay_ms, problem: message.problem }, 'warning')],
  };
};

/** A run that was lost rather than ended by its handler says so, and keeps the code of what took it. */
const lastError = (context: ExecutionContext, { problem: cause, retryable }: Of<'execution.fail'>): Problem =>
  retryable && cause.code === 'handler_crashed'
    ? problem(
        'attempts_exhausted',
        `${context.attempts} of ${context.command.max_attempts} attempts: ${cause.detail}`,
        {
          cause: cause.code,
        },
      )
    : cause;

const fail = (context: ExecutionContext, message: Of<'execution.fail'>): Now => {
  const { at, artifacts } = message;
  const error = lastError(context, message);
  const data = { error, artifacts, attempts: context.attempts, duration_ms: ranFor(context, at) };
  return end(context, at, 'failed', { error, artifacts }, data, 'error');
};

/** The session's own cancel, as it closes, has no `by` and asks for no reply. */
const cancel = (context: ExecutionContext, { at, by }: Of<'execution.cancel'>): Now => {
  const { execution_id } = context;
  const error = problem('cancelled', by === null ? 'the session ended' : `cancelled by ${by.principal}`);
  const answer = by === null ? [] : [reply({ execution_id, status: 'cancelled' })];
  const stop: Effect = { type: 'stop', execution_id, reason: 'cancelled' };
  return end(context, at, 'cancelled', { error }, { cancelled_by: by }, 'info', [stop, ...answer]);
};

/** The authority under which it was accepted is gone; nobody waits for a reply. */
const cancelRevoked = (context: ExecutionContext, { at }: Of<'execution.revoke'>): Now => {
  const { execution_id } = context;
  const error = problem('cancelled', 'its capability was revoked', { reason: 'revoked' });
  const stop: Effect = { type: 'stop', execution_id, reason: 'cancelled' };
  return end(context, at, 'cancelled', { error }, { cancelled_by: null, reason: 'revoked' }, 'warning', [stop]);
};

const timeOut = (context: ExecutionContext, { at }: Of<'deadline'>): Now => {
  const { execution_id, timeout_ms } = context;
  const error = problem('timed_out', `not ended within ${timeout_ms / 1000} s of its acceptance`);
  const stop: Effect = { type: 'stop', execution_id, reason: 'timed_out' };
  return end(context, at, 'timed_out', { error }, { error, timeout_ms }, 'warning', [stop]);
};

/** The actor itself was given up: the one terminal event there still has to be (promise 5). */
export const executionFailure = (context: ExecutionContext, at: number): readonly Effect[] => {
  const { execution_id, attempts, artifacts } = context;
  const error = problem('actor_failed', 'the execution was given up by its supervisor');
  const stop: Effect = { type: 'stop', execution_id, reason: 'cancelled' };
  const data = { error, artifacts, attempts, duration_ms: ranFor(context, at) };
  return context.accepted_at === null ? [] : (end(context, at, 'failed', {}, data, 'error', [stop]).effects ?? []);
};

const requeue = (context: ExecutionContext): Now => {
  const next = enqueue(context);
  return { ...next, effects: [...next.effects, tellQueued(context, true)] };
};

const refuseAccept = (context: ExecutionContext): Now => ({
  effects: [refusal('conflict', `the execution ${context.execution_id} is there already`)],
});

const refuseCancel = (_: ExecutionContext, { by }: Of<'execution.cancel'>): Now =>
  by === null ? {} : { effects: [refusal('not_found', 'there is no such execution')] };

interface Args<Type extends Incoming['type']> {
  readonly context: ExecutionContext;
  readonly event: Of<Type>;
}

/** Late news of an attempt that is not the current one is ignored (ring, rule 7). */
const isCurrent = ({
  context,
  event: { attempt },
}: Args<'execution.progress' | 'execution.output' | 'execution.complete' | 'execution.fail'>): boolean =>
  attempt === context.attempts;

const isExpired = ({ context, event: { at } }: Args<'deadline'>): boolean =>
  isDue(context, at) && at >= expiry(context);

const BLANK: ExecutionContext = {
  ...UNBOUND,
  session_id: null as never,
  execution_id: null as never,
  command: null as never,
  args: null,
  started_by: null as never,
  capability_id: null as never,
  charged: [],
  idempotency_key: null,
  priority: 0,
  timeout_ms: 0,
  progress: 0,
  attempts: 0,
  result: null,
  error: null,
  artifacts: [],
  accepted_at: null,
  started_at: null,
  ended_at: null,
};

const { createMachine } = setup({
  types: {} as { context: ExecutionContext; events: Incoming; emitted: Effect },
});

const cancels = {
  target: 'cancelled',
  actions: act<ExecutionContext, Of<'execution.cancel'>, Incoming>(cancel),
} as const;
const revokes = {
  // Its own may have expired since; what it was charged to still tells from where it descended.
  guard: ({ context: { capability_id, charged }, event: { capability_ids } }: Args<'execution.revoke'>) =>
    [capability_id, ...charged].some((id) => capability_ids.includes(id)),
  target: 'cancelled',
  actions: act<ExecutionContext, Of<'execution.revoke'>, Incoming>(cancelRevoked),
} as const;
const timesOut = {
  guard: isExpired,
  target: 'timed_out',
  actions: act<ExecutionContext, Of<'deadline'>, Incoming>(timeOut),
} as const;

/** One run of a command (contract, section 8): `queued → running → (retrying) → completed | failed | cancelled | timed_out`. */
export const execution = createMachine({
  id: 'execution',
  context: BLANK,
  initial: 'new',
  on: {
    'execution.accept': { actions: act(refuseAccept) },
  },
  states: {
    new: {
      on: {
        'execution.accept': [
          { guard: ({ event: { reserved } }) => reserved, target: 'running', actions: act(accept) },
          { target: 'queued', actions: act(accept) },
        ],
        'execution.cancel': { actions: act(refuseCancel) },
      },
    },
    queued: {
      on: {
        'execution.cancel': cancels,
        'execution.revoke': revokes,
        'execution.start': { target: 'running', actions: act(start) },
        deadline: timesOut,
      },
    },
    running: {
      on: {
        'execution.cancel': cancels,
        'execution.revoke': revokes,
        'execution.progress': { guard: isCurrent, actions: act(progress) },
        'execution.output': { guard: isCurrent, actions: act(output) },
        'execution.complete': { guard: isCurrent, target: 'completed', actions: act(complete) },
        'execution.fail': [
          {
            guard: ({ context, event: message }) =>
              message.attempt === context.attempts && mayRetry(context, message.retryable),
            target: 'retrying',
            actions: act(retry),
          },
          { guard: isCurrent, target: 'failed', actions: act(fail) },
        ],
        deadline: timesOut,
      },
    },
    retrying: {
      on: {
        'execution.cancel': cancels,
        'execution.revoke': revokes,
        'execution.start': { target: 'running', actions: act(start) },
        deadline: [
          timesOut,
          { guard: ({ context, event: { at } }) => isDue(context, at), target: 'queued', actions: act(requeue) },
        ],
      },
    },
    completed: { type: 'final' },
    failed: { type: 'final' },
    cancelled: { type: 'final' },
    timed_out: { type: 'final' },
  },
});
