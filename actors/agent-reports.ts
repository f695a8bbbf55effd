import type { AgentLogEntry } from './agent-options.ts';
import type { Attempt, LaneOptions } from './agent-lane.ts';
import type { RunEnd } from './agent-messages.ts';
import type { Report } from './agents.ts';

/** What the pool tells the ring and the log of its runs. Nothing is told of one that was stopped. */
export interface RunReports {
  readonly on: Omit<LaneOptions['on'], 'doom' | 'history'>;
  /** How a run ended. */
  ended(attempt: Attempt, end: Omit<RunEnd, 'n' | 'took_ms'>): void;
}

export const createRunReports = (report: Report, onLog: (entry: AgentLogEntry) => void): RunReports => ({
  ended: ({ run: { execution_id, start }, place }, end) => {
    const { artifacts } = end;
    if ('asked' in end) {
      const { asked } = end as Extract<RunEnd, { asked: unknown }>;
      report(execution_id, place, { type: 'execution.wait', start, asked, suspended: true, artifacts });
    } else if ('problem' in end) {
      const { problem, retryable } = end as Extract<RunEnd, { problem: unknown }>;
      report(execution_id, place, { type: 'execution.fail', start, problem, retryable, artifacts });
    } else {
      const { result } = end as Extract<RunEnd, { result: unknown }>;
      report(execution_id, place, { type: 'execution.complete', start, result, artifacts });
    }
  },
  on: {
    progress: (_, { run: { execution_id, start }, place, stopped }, progress, message, metadata) => {
      if (!stopped) report(execution_id, place, { type: 'execution.progress', start, progress, message, metadata });
    },
    output: (lane, attempt, stream, chunk, bytes) => {
      if (attempt.stopped) return;
      const { execution_id, start } = attempt.run;
      const message = { type: 'execution.output', start, stream, chunk } as const;
      const credit = (): void => lane.credit(attempt, bytes);
      report(execution_id, attempt.place, message).committed.then(credit, credit);
    },
    step: (lane, attempt, step, artifacts) => {
      if (attempt.stopped) return;
      const { execution_id, start } = attempt.run;
      const { committed } = report(execution_id, attempt.place, { type: 'execution.step', start, step, artifacts });
      committed.then(
        () => lane.recorded(attempt, step.key),
        // It is not durable, so the handler does not go on; its deadline ends it.
        () => {},
      );
    },
    ask: (_, { run: { execution_id, start }, place, stopped }, asked) => {
      const message = { type: 'execution.wait', start, asked, suspended: false, artifacts: [] } as const;
      if (!stopped) report(execution_id, place, message);
    },
    log: (_, { run, place }, lines, dropped) => {
      const { execution_id: execution, attempt, command } = run;
      const source = { execution, session: place.session, attempt, command };
      for (const { message, fields } of lines) onLog({ level: 'info', message, fields, source });
      if (dropped > 0) onLog({ level: 'warn', message: 'log lines were dropped', fields: { dropped }, source });
    },
  },
});
