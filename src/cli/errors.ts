import { ProblemError, type Problem } from '../../machines/error.ts';
import { oneLine } from './text.ts';

/** Exit codes (`arbor --help`). */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The words were wrong: exit code 2. */
export class UsageError extends Error {}

const LINE = 1000;

/** A problem on one line: title, detail, and the fields that are not as expected. */
export const problemLine = ({ title, detail, errors = [] }: Problem): string => {
  const fields = errors.map(({ field, expected }) => `${field || 'the whole'}: expected ${expected}`);
  return oneLine([`${title}: ${detail}`, ...fields].join('; '), LINE);
};

/** Whether nothing listened where somebody was to. */
export const isRefused = (error: unknown): boolean => {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth += 1) {
    if ((cause as NodeJS.ErrnoException).code === 'ECONNREFUSED') return true;
    if (cause instanceof AggregateError && cause.errors.some(isRefused)) return true;
  }
  return false;
};

/** What an error is as the one line behind `arbor:`, and the exit code that goes with it. */
export const failureOf = (error: unknown, url: string): { readonly line: string; readonly code: number } => {
  if (error instanceof UsageError) return { line: oneLine(error.message, LINE), code: EXIT.usage };
  if (isRefused(error))
    return {
      line: `nothing listens at ${url}; start the server with "arbor serve", or name it with --url`,
      code: EXIT.failed,
    };
  if (error instanceof ProblemError) return { line: problemLine(error.problem), code: EXIT.failed };
  return { line: oneLine(error instanceof Error ? error.message : String(error), LINE), code: EXIT.failed };
};
