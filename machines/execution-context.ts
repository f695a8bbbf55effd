import { coordinationAddress, sessionAddress } from './address.ts';
import type { ArtifactInfo, CommandFacts } from './command.ts';
import { UNBOUND, event, send } from './convention.ts';
import type { Convention, Step } from './convention.ts';
import type { Effect } from './effect.ts';
import type { Problem } from './error.ts';
import type { Severity } from './event.ts';
import type { CapabilityId, CoordinationId, ExecutionId, SessionId } from './id.ts';
import type { Caller, DeadlineMessage, ExecutionMessage, SessionMessage, Taken } from './message.ts';
import { EXECUTION_ENDED } from './question.ts';
import type { Awaited, Recorded } from './step.ts';

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
  /** How many runs were started; the number of the current one, which fences (ring, rule 7). */
  readonly starts: number;
  /** How many of them failed or were lost. */
  readonly failures: number;
  /** What the command's author counts: 1 with the first run, one more with each retry. */
  readonly attempts: number;
  /** What the runs have finished, in that order, and what they still wait for. */
  readonly recorded: readonly Recorded[];
  readonly awaited: readonly Awaited[];
  /** How long it was `waiting` in all, and since when it is, in ms since the epoch. */
  readonly waited_ms: number;
  readonly waiting_since: number | null;
  /** The question that has to be confirmed before it may start; null once it is, and where there is none. */
  readonly confirmation: CoordinationId | null;
  readonly result: unknown;
  readonly error: Problem | null;
  readonly artifacts: readonly ArtifactInfo[];
  /** These three in ms since the epoch. `started_at` is the first run's. */
  readonly accepted_at: number | null;
  readonly started_at: number | null;
  readonly ended_at: number | null;
}

export const BLANK_EXECUTION: ExecutionContext = {
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
  starts: 0,
  failures: 0,
  attempts: 0,
  recorded: [],
  awaited: [],
  waited_ms: 0,
  waiting_since: null,
  confirmation: null,
  result: null,
  error: null,
  artifacts: [],
  accepted_at: null,
  started_at: null,
  ended_at: null,
};

export type Incoming = (ExecutionMessage | DeadlineMessage) & Taken;
export type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
export type Outcome = 'completed' | 'failed' | 'cancelled' | 'timed_out';
export type Now = Step<ExecutionContext>;

/** The time in `waiting` does not count (contract, section 8). */
export const expiry = ({ accepted_at, timeout_ms, waited_ms }: ExecutionContext): number =>
  (accepted_at ?? 0) + timeout_ms + waited_ms;

export const tellSession = (context: ExecutionContext, message: SessionMessage): Effect =>
  send(sessionAddress(context.session_id), message);

/** Takes back what it still asks: nobody waits for that any more. */
export const retractAll = (context: ExecutionContext): readonly Effect[] =>
  [
    ...(context.confirmation === null ? [] : [context.confirmation]),
    ...context.awaited.flatMap((each) => (each.reason === 'confirm' ? [each.coordination_id] : [])),
  ].map((id) =>
    send(coordinationAddress(context.session_id, id), {
      type: 'coordination.cancel',
      by: null,
      reason: EXECUTION_ENDED,
    } as { readonly type: string }),
  );

/** Whether the session counts it as queued. */
export const tellQueued = (context: ExecutionContext, queued: boolean): Effect =>
  tellSession(context, { type: 'execution.changed', execution_id: context.execution_id, queued });

export const fact = (
  context: ExecutionContext,
  type: 'queued' | 'started' | 'progress' | 'output' | 'waiting' | 'retrying' | Outcome,
  data: Record<string, unknown>,
  severity?: Severity,
): Effect => {
  const { execution_id } = context;
  return event(`execution_${type}`, execution_id, { execution_id, ...data }, severity);
};
