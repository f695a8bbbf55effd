import { z } from 'zod';
import { DEFAULT_QUESTION_TIMEOUT, QUESTION_LIMITS } from './question-limits.ts';

const count = (what: string) =>
  z
    .int(`a whole number of ${what}`)
    .min(1, `${what}, from 1`)
    .max(QUESTION_LIMITS.confirmations, `${what}, up to ${QUESTION_LIMITS.confirmations}`);

/** How a question is decided (contract, section 7); fixed when it is asked. */
const rulesFields = {
  required_confirmations: count('confirmations').default(1),
  timeout: z
    .number('a number of seconds')
    .min(1, 'seconds, from 1')
    .max(QUESTION_LIMITS.timeout, `seconds, up to ${QUESTION_LIMITS.timeout}`)
    .default(DEFAULT_QUESTION_TIMEOUT),
  on_timeout: z.enum(['timed_out', 'rejected']).default('timed_out'),
  /** Whether one rejection decides. */
  veto: z.boolean('true or false').default(false),
  max_rejections: count('rejections').optional(),
  /** Principals or ids of clients; all who may write where it is absent. */
  voters: z
    .array(z.string().min(1, 'a principal or the id of a client').max(256))
    .min(1, 'at least one voter')
    .max(QUESTION_LIMITS.voters, `at most ${QUESTION_LIMITS.voters} voters`)
    .optional(),
  distinct: z.enum(['principal', 'client']).default('principal'),
  requester_may_vote: z.boolean('true or false').default(false),
};

export const questionFields = {
  operation: z
    .string()
    .min(1, 'what is asked about')
    .max(QUESTION_LIMITS.operation, `at most ${QUESTION_LIMITS.operation} characters`),
  description: z
    .string()
    .min(1, 'a question for people')
    .max(QUESTION_LIMITS.description, `at most ${QUESTION_LIMITS.description} characters`),
  ...rulesFields,
};

export const questionSchema = z.strictObject(questionFields);
export const rulesSchema = z.strictObject(rulesFields);

export type Rules = z.output<typeof rulesSchema>;
export type Question = z.output<typeof questionSchema>;

const voteSchema = z.object({
  principal: z.string(),
  client_id: z.string().nullable(),
  comment: z.string().nullable(),
  at: z.iso.datetime({ precision: 3 }),
});
const callerSchema = z.object({ principal: z.string(), client_id: z.string().nullable() });

/** A question as everybody who may read sees it. */
export const coordinationSchema = z
  .object({
    coordination_id: z.string(),
    session_id: z.string(),
    status: z.enum(['open', 'confirmed', 'rejected', 'timed_out', 'cancelled']),
    operation: z.string(),
    description: z.string(),
    /** What it is about, with secrets masked. */
    details: z.unknown(),
    required_confirmations: z.int(),
    /** Seconds. */
    timeout: z.number(),
    on_timeout: z.enum(['timed_out', 'rejected']),
    veto: z.boolean(),
    max_rejections: z.int().nullable(),
    voters: z.array(z.string()).nullable(),
    distinct: z.enum(['principal', 'client']),
    requester_may_vote: z.boolean(),
    requested_by: callerSchema,
    /** The execution that waits for it. */
    execution_id: z.string().nullable(),
    /** Who may vote now; with the outcome, who could. */
    eligible: z.array(callerSchema),
    confirmations: z.array(voteSchema),
    rejections: z.array(voteSchema),
    created_at: z.iso.datetime({ precision: 3 }),
    expires_at: z.iso.datetime({ precision: 3 }),
    decided_at: z.iso.datetime({ precision: 3 }).nullable(),
    /** Why, where no votes decided. */
    reason: z.string().nullable(),
  })
  .meta({ id: 'Coordination' });
export type Coordination = z.infer<typeof coordinationSchema>;

/** What `ctx.confirm` takes. */
export const confirmationSchema = z.strictObject({
  ...questionFields,
  operation: questionFields.operation.optional(),
  details: z.unknown().optional(),
});
export type ConfirmationRequest = z.input<typeof confirmationSchema>;
