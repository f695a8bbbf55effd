/** Bounds of a question; what goes beyond is `invalid_input`. */
export const QUESTION_LIMITS = {
  /** Characters. */
  operation: 100,
  description: 2_000,
  comment: 2_000,
  /** Bytes of `details` as JSON. */
  details_bytes: 16 * 1024,
  voters: 100,
  confirmations: 100,
  /** Seconds: 30 days. */
  timeout: 30 * 24 * 60 * 60,
} as const;

export const DEFAULT_QUESTION_TIMEOUT = 300;
