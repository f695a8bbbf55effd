import { z } from 'zod';
import { RISKS } from './capability-axes.ts';

const countSchema = z.int().positive();
/** As a constraint is kept and shown: UTC with milliseconds. */
const instantSchema = z.iso.datetime({ precision: 3 });
/** A century: what is added to now stays a time of RFC 3339. */
const MAX_LIFETIME_S = 3_155_760_000;

const FIELDS = {
  rate_limit: countSchema.optional().meta({ description: 'Charged at most so often in any 60 minutes' }),
  max_concurrent: countSchema.optional().meta({ description: 'At most so many executions at once' }),
  max_operations: countSchema.optional().meta({ description: 'Charged at most so often in all' }),
  expires_at: instantSchema.optional().meta({ description: 'Covers nothing from then on' }),
  not_before: instantSchema.optional().meta({ description: 'Covers nothing before' }),
  read_only: z.boolean().optional().meta({ description: 'Covers `read` and `list` only' }),
  require_webhook: z.boolean().optional().meta({ description: 'What is not waited for needs a webhook' }),
  require_confirmations: countSchema.optional().meta({ description: 'So many confirmations before a command starts' }),
  max_risk: z.enum(RISKS).optional().meta({ description: 'Covers no command of a higher risk' }),
  may_share: z.boolean().optional().meta({ description: 'Shares may be made from it; without it only by the owner' }),
};

/**
 * What narrows a capability (contract, section 6). Absent means unlimited, but for `may_share`, which is a right and has
 * to be given.
 */
export const constraintsSchema = z.strictObject(FIELDS).meta({ id: 'Constraints' });
export type Constraints = z.infer<typeof constraintsSchema>;

/** As they are asked for: a lifetime may be given in seconds from now, and a time without its milliseconds. */
export const constraintsInputSchema = z
  .strictObject({
    ...FIELDS,
    expires_at: z.iso.datetime().optional().meta({ description: 'Covers nothing from then on' }),
    expires_in: countSchema.max(MAX_LIFETIME_S).optional().meta({ description: 'Seconds, for `expires_at`' }),
    not_before: z.iso.datetime().optional().meta({ description: 'Covers nothing before' }),
  })
  .superRefine(({ expires_at, expires_in }, context) => {
    if (expires_at !== undefined && expires_in !== undefined)
      context.addIssue({ code: 'custom', path: ['expires_in'], message: 'expires_at or expires_in, not both' });
  });
export type ConstraintsInput = z.infer<typeof constraintsInputSchema>;
