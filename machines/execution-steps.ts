import { RETRY_BACKOFF, fullJitter } from './backoff.ts';
import type { ArtifactInfo } from './command.ts';
import { refusal, reply } from './convention.ts';
import type { Effect } from './effect.ts';
import { problem } from './error.ts';
import type { Problem } from './error.ts';
import { timestamp } from './event.ts';
import type { Severity } from './event.ts';
import { expiry, fact, retractAll, tellQueued, tellSession } from './execution-context.ts';
import type { ExecutionContext, Now, Of, Outcome } from './execution-context.ts';
import { masked } from './mask.ts';
import { addAwaited, record, settle, whenFirst } from './step.ts';
import type { Asked, Awaited } from './step.ts';

/** The next run. It is counted in the snapshot of the same turn, hence durably before the handler runs. */
const run = (context: ExecutionContext, at: number): Required<Now> => {
  const start = context.starts + 1;
  const attempt = context.failures + 1;
  const { execution_id, command, args, idempotency_key, artifacts } = context;
  const { recorded, awaited } = settle(context.recorded, context.awaited, at);
  return {
    change: {
      starts: start,
      attempts: attempt,
      recorded,
      awaited,
      started_at: context.started_at ?? at,
      deadline: expiry(context),
      waits: `run:${start}`,
    },
    effects: [
      fact(context, 'started', { attempt }),
      {
        type: 'run',
        run: {
          execution_id,
          start,
          attempt,
          command: command.name,
          args,
          idempotency_key: idempotency_key ?? execution_id,
          ...(recorded.length === 0 ? {} : { recorded }),
          ...(awaited.length === 0
            ? {}
            : {
                awaited: awaited.map((each) => ({
                  key: each.key,
                  remaining_ms: each.reason === 'sleep' ? each.until - at : null,
                })),
              }),
          ...(artifacts.length === 0 ? {} : { artifacts }),
        },
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
  change: {
    ...change,
    ended_at: at,
    deadline: null,
    waits: null,
    awaited: [],
    confirmation: null,
    waiting_since: null,
  },
  effects: [
    fact(context, outcome, data, severity),
    ...effects,
    ...retractAll(context),
    tellSession(context, {
      type: 'execution.ended',
      execution_id: context.execution_id,
      charged: context.charged,
    }),
  ],
});

const ranFor = (context: ExecutionContext, at: number): number => Math.max(0, at - (context.started_at ?? at));

export const accept = (blank: ExecutionContext, message: Of<'execution.accept'>): Now => {
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
  const { confirmation } = message;
  const queued = { command: command.name, priority, timeout_ms, started_by: caller };
  if (confirmation !== undefined)
    return {
      change: { ...accepted, confirmation, waiting_since: at },
      effects: [
        fact(context, 'queued', { ...queued, awaiting_confirmation: confirmation }),
        reply({ execution_id, status: 'pending', coordination_id: confirmation }),
      ],
    };
  const next = message.reserved ? run(context, at) : enqueue(context);
  return {
    change: { ...accepted, ...next.change },
    effects: [fact(context, 'queued', queued), ...next.effects, reply({ execution_id, status: 'pending' })],
  };
};

export const start = (context: ExecutionContext, { at }: Of<'execution.start'>): Now => {
  const next = run(context, at);
  return { ...next, effects: [...next.effects, tellQueued(context, false)] };
};

export const progress = (context: ExecutionContext, message: Of<'execution.progress'>): Now => {
  const told = Number.isFinite(message.progress) ? message.progress : 0;
  const reached = Math.max(context.progress, Math.min(100, told));
  return {
    change: { progress: reached },
    effects: [
      fact(context, 'progress', { progress: reached, message: message.message, metadata: message.metadata }, 'debug'),
    ],
  };
};

export const output = (context: ExecutionContext, { stream, chunk }: Of<'execution.output'>): Now => ({
  effects: [fact(context, 'output', { stream, chunk }, 'debug')],
});

/** Both lists, the later one's where both have a name. */
const merged = (before: readonly ArtifactInfo[], now: readonly ArtifactInfo[]): readonly ArtifactInfo[] => {
  if (before.length === 0 || now.length === 0) return before.length === 0 ? now : before;
  const names = new Set(now.map(({ name }) => name));
  return [...before.filter(({ name }) => !names.has(name)), ...now];
};

export const step = (context: ExecutionContext, message: Of<'execution.step'>): Now => ({
  change: {
    recorded: record(context.recorded, message.step),
    awaited: context.awaited.filter(({ key }) => key !== message.step.key),
    artifacts: merged(context.artifacts, message.artifacts),
  },
});

/** What was not asked before, and has not come: it is asked once, however often its handler runs. */
const fresh = ({ awaited, recorded }: ExecutionContext, asked: readonly Asked[]): readonly Asked[] => {
  const known = new Set([...awaited, ...recorded].map(({ key }) => key));
  return asked.filter(({ key }) => !known.has(key));
};

/** Puts the questions among these to the session. */
const questions = (context: ExecutionContext, asked: readonly Asked[]): readonly Effect[] =>
  asked.flatMap((each) => {
    if (each.reason !== 'confirm') return [];
    const { coordination_id, question, details } = each;
    const { execution_id, started_by, command } = context;
    return [
      tellSession(context, {
        type: 'session.confirm',
        execution_id,
        requester: started_by,
        coordination_id,
        question,
        details: masked(details, command.secrets),
      }),
    ];
  });

/** It goes on for now; but what it asked for has its time from here on, also after a crash. */
export const ask = (context: ExecutionContext, { asked, at }: Of<'execution.wait'>): Now => {
  const news = fresh(context, asked);
  return { change: { awaited: addAwaited(context.awaited, news, at) }, effects: questions(context, news) };
};

/** What the event says: the time that comes first, or the questions. */
const waitingFor = (awaited: readonly Awaited[], until: number | null): Record<string, unknown> => {
  const asked = awaited.flatMap((each) => (each.reason === 'confirm' ? [each.coordination_id] : []));
  return {
    until: until === null ? null : timestamp(until),
    reason: asked.length > 0 ? 'confirm' : 'sleep',
    ...(asked.length > 0 ? { coordinations: asked } : {}),
  };
};

/** The run has ended in its thread; what is awaited comes by itself. */
export const wait = (context: ExecutionContext, { asked, artifacts, at }: Of<'execution.wait'>): Now => {
  const news = fresh(context, asked);
  const awaited = addAwaited(context.awaited, news, at);
  // What it asked for may have come while it went on with something else.
  const isThere = asked.some(({ key }) => context.recorded.some((each) => each.key === key));
  const until = isThere ? at : whenFirst(awaited);
  return {
    change: {
      awaited,
      artifacts: merged(context.artifacts, artifacts),
      waiting_since: at,
      deadline: until,
      waits: null,
    },
    effects: [fact(context, 'waiting', waitingFor(awaited, until)), ...questions(context, news)],
  };
};

export const complete = (context: ExecutionContext, message: Of<'execution.complete'>): Now => {
  const { at, result } = message;
  const artifacts = merged(context.artifacts, message.artifacts);
  return end(context, at, 'completed', { result, artifacts }, { result, artifacts, duration_ms: ranFor(context, at) });
};

export const mayRetry = ({ failures, command }: ExecutionContext, retryable: boolean): boolean =>
  retryable && failures + 1 < command.max_attempts;

export const retry = (context: ExecutionContext, message: Of<'execution.fail'>): Now => {
  const attempt = context.attempts;
  const failures = context.failures + 1;
  const delay_ms = fullJitter(failures, message.random, context.command.backoff ?? RETRY_BACKOFF);
  return {
    change: { failures, deadline: Math.min(expiry(context), message.at + delay_ms), waits: null },
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

export const fail = (context: ExecutionContext, message: Of<'execution.fail'>): Now => {
  const { at } = message;
  const artifacts = merged(context.artifacts, message.artifacts);
  const error = lastError(context, message);
  const data = { error, artifacts, attempts: context.attempts, duration_ms: ranFor(context, at) };
  return end(context, at, 'failed', { error, artifacts }, data, 'error');
};

/** The session's own cancel, as it closes, has no `by` and asks for no reply. */
export const cancel = (context: ExecutionContext, { at, by }: Of<'execution.cancel'>): Now => {
  const { execution_id } = context;
  const error = problem('cancelled', by === null ? 'the session ended' : `cancelled by ${by.principal}`);
  const answer = by === null ? [] : [reply({ execution_id, status: 'cancelled' })];
  const stop: Effect = { type: 'stop', execution_id, reason: 'cancelled' };
  return end(context, at, 'cancelled', { error }, { cancelled_by: by }, 'info', [stop, ...answer]);
};

/** The authority under which it was accepted is gone; nobody waits for a reply. */
export const cancelRevoked = (context: ExecutionContext, { at }: Of<'execution.revoke'>): Now => {
  const { execution_id } = context;
  const error = problem('cancelled', 'its capability was revoked', { reason: 'revoked' });
  const stop: Effect = { type: 'stop', execution_id, reason: 'cancelled' };
  return end(context, at, 'cancelled', { error }, { cancelled_by: null, reason: 'revoked' }, 'warning', [stop]);
};

export const timeOut = (context: ExecutionContext, { at }: Of<'deadline' | 'execution.wait'>): Now => {
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

export const requeue = (context: ExecutionContext): Required<Now> => {
  const next = enqueue(context);
  return { ...next, effects: [...next.effects, tellQueued(context, true)] };
};

/** What it waited for has come: it queues again, and its deadline moves by the time that it waited. */
export const wake = (context: ExecutionContext, { at }: { readonly at: number }): Now => {
  const waited_ms = waitedUntil(context, at);
  const { change, effects } = requeue({ ...context, waited_ms });
  return { change: { ...change, waited_ms, waiting_since: null }, effects };
};

/** The outcome of a question that its handler asked: recorded like a step, for the next run to find. */
const answered = (
  context: ExecutionContext,
  { confirmation }: Of<'execution.confirmed'>,
): Partial<ExecutionContext> => {
  const { coordination_id } = confirmation;
  const asked = context.awaited.find((each) => each.reason === 'confirm' && each.coordination_id === coordination_id);
  if (asked === undefined) return {};
  return {
    recorded: record(context.recorded, { key: asked.key, result: confirmation }),
    awaited: context.awaited.filter((each) => each !== asked),
  };
};

/** It goes on meanwhile, and finds it when it waits for it. */
export const keepAnswer = (context: ExecutionContext, message: Of<'execution.confirmed'>): Now => ({
  change: answered(context, message),
});

export const isAwaited = ({ awaited }: ExecutionContext, { confirmation }: Of<'execution.confirmed'>): boolean =>
  awaited.some((each) => each.reason === 'confirm' && each.coordination_id === confirmation.coordination_id);

const waitedUntil = (context: ExecutionContext, at: number): number =>
  context.waited_ms + Math.max(0, at - (context.waiting_since ?? at));

/** An answer that it waited for wakes it. */
export const wakeAnswered = (context: ExecutionContext, message: Of<'execution.confirmed'>): Now => {
  const change = answered(context, message);
  const woken = wake({ ...context, ...change }, message);
  return { ...woken, change: { ...change, ...woken.change } };
};

/** It may start now; the time until here does not count. */
export const confirmed = (context: ExecutionContext, message: Of<'execution.confirmed'>): Now => {
  const woken = wake({ ...context, confirmation: null }, message);
  return { ...woken, change: { ...woken.change, confirmation: null } };
};

/** It never starts. */
export const notConfirmed = (context: ExecutionContext, { confirmation, at }: Of<'execution.confirmed'>): Now => {
  const { status, coordination_id } = confirmation;
  const settled = { ...context, confirmation: null };
  const waited_ms = waitedUntil(context, at);
  if (status === 'cancelled') {
    const error = problem('cancelled', 'the question whether it may start was taken back', { coordination_id });
    return end(
      settled,
      at,
      'cancelled',
      { error, waited_ms },
      { cancelled_by: null, reason: 'not_confirmed', coordination_id },
    );
  }
  const error = problem('not_confirmed', `the question whether it may start was ${status}`, {
    reason: status,
    coordination_id,
  });
  return end(
    settled,
    at,
    'failed',
    { error, waited_ms },
    { error, attempts: 0, duration_ms: 0, artifacts: [] },
    'warning',
  );
};

export const refuseAccept = (context: ExecutionContext): Now => ({
  effects: [refusal('conflict', `the execution ${context.execution_id} is there already`)],
});

export const refuseCancel = (_: ExecutionContext, { by }: Of<'execution.cancel'>): Now =>
  by === null ? {} : { effects: [refusal('not_found', 'there is no such execution')] };
