import type { ArtifactInfo, CommandFacts } from '../../machines/command.ts';
import type { Effect, Run } from '../../machines/effect.ts';
import { problem } from '../../machines/error.ts';
import { execution, type ExecutionContext } from '../../machines/execution.ts';
import type { DeadlineMessage, ExecutionMessage, Taken } from '../../machines/message.ts';
import type { CoordinationId } from '../../machines/id.ts';
import type { Decided } from '../../machines/question.ts';
import { questionSchema } from '../../machines/question-schema.ts';
import type { Awaited } from '../../machines/step.ts';
import { createDriver } from './machine.ts';

/** What an execution's machine is told, and what it says. */

export type Incoming = (ExecutionMessage | DeadlineMessage) & Taken;
export const START = 1_000_000;
export const TIMEOUT = 30_000;
export const OWNER = { principal: 'ada', client_id: null } as const;
export const crashed = problem('handler_crashed', 'the thread ended');
export const failed = problem('handler_failed', 'no');

export const facts = (max_attempts: number): CommandFacts => ({
  name: 'analyze',
  operation: 'read',
  resource: 'operations',
  risk: 'low',
  audit: false,
  mode: 'async',
  timeout: 30,
  max_attempts,
});

/** The question whether it may start. */
export const GATE = 'crd_gate';

export const accept = (reserved: boolean, max_attempts = 4, gated = false): Incoming => ({
  type: 'execution.accept',
  session_id: 'ses_1',
  execution_id: 'exe_1',
  command: facts(max_attempts),
  args: { path: '.' },
  caller: OWNER,
  capability_id: 'cap_1',
  charged: ['cap_1'],
  timeout_ms: TIMEOUT,
  priority: 3,
  reserved,
  ...(gated ? { confirmation: GATE } : {}),
  idempotency_key: null,
  at: START,
  random: 0,
});
export const fail = (of: number, at: number, retryable = true, cause = crashed): Incoming => ({
  type: 'execution.fail',
  start: of,
  problem: cause,
  retryable,
  artifacts: [],
  at,
  random: 0.5,
});
export const complete = (of: number, at: number): Incoming => ({
  type: 'execution.complete',
  start: of,
  result: { ok: true },
  artifacts: [],
  at,
  random: 0,
});
export const wait = (of: number, at: number, sleeps: Record<string, number>, suspended = true): Incoming => ({
  type: 'execution.wait',
  start: of,
  asked: Object.entries(sleeps).map(([key, remaining_ms]) => ({ key, reason: 'sleep', remaining_ms })),
  suspended,
  artifacts: [],
  at,
  random: 0,
});
const question = questionSchema.parse({ operation: 'deploy', description: 'May it be deployed?' });
/** The handler waits for the outcome of this question. */
export const confirm = (
  of: number,
  at: number,
  coordination_id: CoordinationId,
  suspended = true,
  name: string = coordination_id,
): Incoming => ({
  type: 'execution.wait',
  start: of,
  asked: [{ key: `confirm ${name}`, reason: 'confirm', coordination_id, question, details: null }],
  suspended,
  artifacts: [],
  at,
  random: 0,
});
export const confirmed = (coordination_id: CoordinationId, at: number, status: Decided = 'confirmed'): Incoming => ({
  type: 'execution.confirmed',
  confirmation: { coordination_id, status, confirmations: [], rejections: [] },
  at,
  random: 0,
});
export const step = (
  of: number,
  at: number,
  key: string,
  result: unknown,
  artifacts: readonly ArtifactInfo[] = [],
): Incoming => ({
  type: 'execution.step',
  start: of,
  step: { key, result },
  artifacts,
  at,
  random: 0,
});
export const deadline = (at: number): Incoming => ({ type: 'deadline', at, random: 0 });
export const start = (at: number): Incoming => ({ type: 'execution.start', at, random: 0 });

export const create = () => createDriver<ExecutionContext>(execution);
export const events = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => (effect.type === 'event' ? [effect.event] : []));
export const types = (effects: readonly Effect[]) =>
  effects.map((effect) =>
    effect.type === 'send' ? effect.message.type : effect.type === 'event' ? effect.event : effect.type,
  );

export const runs = (effects: readonly Effect[]): Run[] =>
  effects.flatMap((effect) => (effect.type === 'run' ? [effect.run] : []));

/** Those that come by themselves. */
export const sleeps = (awaited: readonly Awaited[]) => awaited.filter((each) => each.reason === 'sleep');
