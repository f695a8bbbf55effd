import type { EventType } from './event-type.ts';

export { EVENT_TYPES } from './event-type.ts';
export type { EventType, Severity } from './event-type.ts';
export type { Event } from './event-schema.ts';

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
