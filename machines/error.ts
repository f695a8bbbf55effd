import type { z } from 'zod';

/**
 * The one table of coded errors (contract, section 2). `retry` tells a client whether the same call may succeed later
 * without being changed. The reference page and the OpenAPI document are made from it.
 */
export const ERRORS = {
  invalid_input: { status: 400, title: 'A field does not have the expected value', retry: false },
  webhook_required: { status: 400, title: 'This capability needs a webhook to run without a wait', retry: false },
  address_refused: { status: 400, title: 'The address may not be called', retry: false },
  path_refused: { status: 400, title: 'The path is outside the allowed roots', retry: false },
  unauthenticated: { status: 401, title: 'Credentials are missing, wrong or dead', retry: false },
  security_violation: { status: 403, title: 'The capability does not cover this', retry: false },
  not_found: { status: 404, title: 'There is no such thing', retry: false },
  unknown_command: { status: 404, title: 'There is no such command', retry: false },
  method_not_found: { status: 404, title: 'There is no such operation', retry: false },
  method_not_allowed: { status: 405, title: 'This method is not offered here', retry: false },
  conflict: { status: 409, title: 'The present state does not allow this', retry: false },
  not_confirmed: { status: 409, title: 'The execution was not confirmed', retry: false },
  already_decided: { status: 409, title: 'The question has its outcome', retry: false },
  cursor_expired: { status: 410, title: 'The cursor is older than the retention', retry: false },
  too_large: { status: 413, title: 'Larger than the bound', retry: false },
  range_not_satisfiable: { status: 416, title: 'Nothing of the file is in this range', retry: false },
  unsupported_media_type: { status: 415, title: 'The body is not JSON', retry: false },
  rate_limited: { status: 429, title: 'Too many calls', retry: true },
  internal: { status: 500, title: 'The server failed', retry: true },
  actor_failed: { status: 500, title: 'The actor failed and was given up', retry: false },
  overloaded: { status: 503, title: 'A queue is full', retry: true },
  read_only: { status: 503, title: 'The store takes no writes', retry: true },
  unavailable: { status: 503, title: 'The server is starting or draining', retry: true },
  not_configured: { status: 503, title: 'This is not configured', retry: false },
  timed_out: { status: 504, title: 'The deadline has passed', retry: true },
  handler_failed: { status: 500, title: 'The command failed', retry: false },
  handler_crashed: { status: 500, title: 'The command ended its thread', retry: true },
  attempts_exhausted: { status: 500, title: 'Every attempt of the command was lost', retry: false },
  result_invalid: { status: 500, title: 'The command returned what its schema forbids', retry: false },
  output_exceeded: { status: 413, title: 'The command wrote more output than allowed', retry: false },
  cancelled: { status: 409, title: 'The execution was cancelled', retry: false },
} as const satisfies Record<string, { status: number; title: string; retry: boolean }>;

export type ErrorCode = keyof typeof ERRORS;

/** One field that is not as expected; `field` is a path with dots, empty for the whole. */
export interface FieldError {
  readonly field: string;
  readonly expected: string;
}

/** RFC 9457 problem details, the shape of every error on the wire. */
export interface Problem {
  readonly type: `urn:arbor:error:${ErrorCode}`;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  /** Seconds after which a retry makes sense; HTTP carries it as `Retry-After` as well. */
  readonly retry_after?: number;
  readonly reason?: string;
  readonly [extension: string]: unknown;
}

/** Builds the problem of a code. `detail` names the thing and the expectation; never a stack trace, never a secret. */
export const problem = (code: ErrorCode, detail: string, more: Partial<Problem> = {}): Problem => ({
  type: `urn:arbor:error:${code}`,
  title: ERRORS[code].title,
  status: ERRORS[code].status,
  code,
  detail,
  ...more,
});

export const isProblem = (value: unknown): value is Problem =>
  typeof value === 'object' && value !== null && 'code' in value && 'status' in value && 'type' in value;

/** What zod puts before an expectation; `expected` says it already. */
const PREAMBLE = /^[A-Z][a-z]+ [a-z]+: expected /;

/**
 * The fields of a failed zod check, as `invalid_input` reports them, below `prefix`. A field that the schema does not
 * have is named itself.
 */
export const fieldErrors = ({ issues }: Pick<z.ZodError, 'issues'>, prefix: readonly string[] = []): FieldError[] =>
  issues.flatMap((issue): FieldError[] => {
    const path = [...prefix, ...issue.path.map(String)];
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ field: [...path, key].join('.'), expected: 'no such field' }));
    }
    return [{ field: path.join('.'), expected: issue.message.replace(PREAMBLE, '') }];
  });

/** What a handler throws where another attempt would not help: whatever else it throws is tried again. */
export class TerminalError extends Error {
  readonly retryable = false;
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TerminalError';
  }
}

/**
 * A problem as an `Error`, for the few places that must throw (a handler, a constructor). `problem` is what the
 * outside sees, `cause` stays inside.
 */
export class ProblemError extends Error {
  readonly problem: Problem;
  constructor(code: ErrorCode, detail: string, options: { more?: Partial<Problem>; cause?: unknown } = {}) {
    super(detail, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'ProblemError';
    this.problem = problem(code, detail, options.more);
  }
}
