import { ERRORS, isProblem, ProblemError, type Problem } from '../../machines/error.ts';

/** A problem that the server answered, as the error that a call rejects with. */
export const errorOf = (answered: Problem): ProblemError =>
  Object.hasOwn(ERRORS, answered.code)
    ? new ProblemError(answered.code, answered.detail, { more: answered })
    : // Of a newer server: its own code is kept, `internal` only stands in where this table is asked.
      new ProblemError('internal', answered.detail, { more: answered });

/** The error where nobody answered, or something other than the gateway. */
export const unreachable = (what: string, cause?: unknown): ProblemError =>
  new ProblemError('unavailable', what, {
    more: { title: 'The server cannot be reached' },
    ...(cause === undefined ? {} : { cause }),
  });

export const deadlinePassed = (what: string, ms: number, cause?: unknown): ProblemError =>
  new ProblemError('timed_out', `${what}: no answer within ${ms / 1000} s`, cause === undefined ? {} : { cause });

/** The problem in a body of `application/problem+json`; null for anything else. */
export const problemIn = (body: unknown): Problem | null => (isProblem(body) ? body : null);

/** Whether the same call may succeed later without being changed. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof ProblemError &&
  (Object.hasOwn(ERRORS, error.problem.code) ? ERRORS[error.problem.code].retry : false);
