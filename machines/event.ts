import { z } from 'zod';

/** Every type of event there is (contract, section 4). */
export const EVENT_TYPES = [
  'session_opened',
  'session_suspended',
  'session_resumed',
  'session_closed',
  'session_expired',
  'client_joined',
  'client_detached',
  'client_left',
  'execution_queued',
  'execution_started',
  'execution_progress',
  'execution_output',
  'execution_waiting',
  'execution_retrying',
  'execution_completed',
  'execution_failed',
  'execution_cancelled',
  'execution_timed_out',
  'coordination_request',
  'coordination_vote',
  'coordination_confirmed',
  'coordination_rejected',
  'coordination_timed_out',
  'coordination_cancelled',
  'share_created',
  'share_revoked',
  'capability_revoked',
  'security_violation',
  'webhook_dead',
  'actor_restarted',
  'actor_failed',
] as const;

export type EventType = (typeof EVENT_TYPES)[number];
export type Severity = 'debug' | 'info' | 'warning' | 'error';

/** Who and what a fact comes from; absent parts are null. */
const eventMetadataSchema = z.object({
  source: z.string(),
  severity: z.enum(['debug', 'info', 'warning', 'error']),
  principal: z.string().nullable(),
  client_id: z.string().nullable(),
  correlation_id: z.string().nullable(),
  causation_id: z.string().nullable(),
  traceparent: z.string().nullable(),
});

/** One fact of a session's log. `seq` is dense and strictly increasing per session, from 1. */
export const eventSchema = z
  .object({
    id: z.string(),
    seq: z.int().positive(),
    session_id: z.string(),
    type: z.enum(EVENT_TYPES),
    timestamp: z.iso.datetime({ precision: 3 }),
    data: z.record(z.string(), z.unknown()),
    metadata: eventMetadataSchema,
  })
  .meta({ id: 'Event' });
export type Event = z.infer<typeof eventSchema>;

/** The events that end an execution: exactly one of them follows each accepted execution. */
const TERMINAL_EVENTS = [
  'execution_completed',
  'execution_failed',
  'execution_cancelled',
  'execution_timed_out',
] as const satisfies readonly EventType[];

const terminal: ReadonlySet<string> = new Set(TERMINAL_EVENTS);
export const isTerminalEvent = (type: string): boolean => terminal.has(type);

/** The events that end a question: exactly one of them follows each. */
const OUTCOME_EVENTS = [
  'coordination_confirmed',
  'coordination_rejected',
  'coordination_timed_out',
  'coordination_cancelled',
] as const satisfies readonly EventType[];

const outcomes: ReadonlySet<string> = new Set(OUTCOME_EVENTS);
export const isOutcomeEvent = (type: string): boolean => outcomes.has(type);

/** RFC 3339 in UTC with milliseconds; the only way a time is written. */
export const timestamp = (ms: number): string => new Date(ms).toISOString();
