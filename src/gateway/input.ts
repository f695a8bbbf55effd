import type { z } from 'zod';
import { fieldErrors, problem, type Problem } from '../../machines/error.ts';

/** Errors of one call that are reported; the rest would only be longer. */
const MAX_ERRORS = 20;

/** The 400 of a failed check, every field by its name. */
export const invalidInput = (error: z.ZodError, prefix: readonly string[] = []): Problem => {
  const errors = fieldErrors(error, prefix).slice(0, MAX_ERRORS);
  const fields = [...new Set(errors.map(({ field }) => field || 'the whole'))].join(', ');
  return problem('invalid_input', `not as expected: ${fields.slice(0, 500)}`, { errors });
};

/** Canonical JSON (keys sorted at every depth), so that equal values have equal text. */
export const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : part,
  );

/**
 * Whether a JSON value nests deeper than `levels`. Parsing takes any depth, but writing it as text again would overflow
 * the stack of whichever thread does it.
 */
export const isDeeperThan = (value: unknown, levels: number): boolean => {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  return Object.values(value).some((part) => isDeeperThan(part, levels - 1));
};
