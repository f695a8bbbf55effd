import { ProblemError } from '../../machines/error.ts';
import { fullJitter, type Backoff } from '../../machines/backoff.ts';
import { pause } from './backoff.ts';
import { isRetryable } from './failure.ts';

export interface RecoveryOptions {
  /** How often it is tried in all; default 5. */
  readonly attempts?: number;
  /** Between two attempts is a random time from 0 to `base_ms` · 2^n, at most `cap_ms`; default 250 and 15,000. */
  readonly backoff?: Backoff;
  /** Ends the waiting: the last error is thrown. */
  readonly signal?: AbortSignal;
  /** Which errors another attempt may mend; default those that the table of errors says so of. */
  readonly isRetryable?: (error: unknown) => boolean;
  /** From 0 to below 1; for tests. */
  readonly random?: () => number;
}

const DEFAULT_BACKOFF: Backoff = { base_ms: 250, cap_ms: 15_000 };
const NEVER = new AbortController().signal;

/** Milliseconds that the server asks to wait (RFC 9110, section 10.2.3); 0 where it does not say. */
const askedFor = (error: unknown): number =>
  error instanceof ProblemError ? (error.problem.retry_after ?? 0) * 1_000 : 0;

/**
 * Runs `operation` until it succeeds, at most so often, with full jitter between two attempts and never sooner than the
 * server asks for. `attempt` counts from 1. Give commands an idempotency key: an answer that was lost may have been a yes.
 * Rejects with the last error, and at once with one that another attempt would not change.
 */
export const withRecovery = async <Value>(
  operation: (attempt: number) => Promise<Value>,
  options: RecoveryOptions = {},
): Promise<Value> => {
  const { attempts = 5, backoff = DEFAULT_BACKOFF, signal = NEVER, random = Math.random } = options;
  const mayRetry = options.isRetryable ?? isRetryable;
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation(attempt);
    } catch (error) {
      if (attempt >= attempts || !mayRetry(error) || signal.aborted) throw error;
      await pause(Math.max(askedFor(error), fullJitter(attempt, random(), backoff)), signal);
      if (signal.aborted) throw error;
    }
  }
};
