import { z } from 'zod';
import type { ClientId, CoordinationId } from './id.ts';

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
export type Vote = 'confirm' | 'reject';
export type Decided = 'confirmed' | 'rejected' | 'timed_out' | 'cancelled';

/** Why a question is taken back for which no execution waits any more. */
export const EXECUTION_ENDED = 'execution_ended';

/** Somebody who may write, hence vote. `client_id` null is the owner with a key of its own. */
export interface Elector {
  readonly client_id: ClientId | null;
  readonly principal: string;
  /** Whom the principal counts as: a share's is its issuer. */
  readonly person: string;
}

export interface CastVote extends Elector {
  readonly vote: Vote;
  readonly comment: string | null;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What a vote is judged by. */
export interface Ballot {
  readonly rules: Rules;
  readonly requester: Elector;
  /** A command demanded it: then the requester is barred as a person, whatever else is distinct. */
  readonly demanded: boolean;
}

/** What makes two votes those of one voter; null for who is none. */
export const voterOf = ({ rules }: Pick<Ballot, 'rules'>, { client_id, person }: Elector): string | null =>
  rules.distinct === 'client' ? client_id : person;

const isRequester = ({ rules, requester, demanded }: Ballot, elector: Elector): boolean =>
  rules.distinct === 'principal' || demanded
    ? elector.person === requester.person
    : elector.client_id === requester.client_id;

/** Whether this elector may vote on the question (contract, section 7). */
export const isEligible = (ballot: Ballot, elector: Elector): boolean => {
  const { voters, requester_may_vote } = ballot.rules;
  const { client_id, principal, person } = elector;
  if (voterOf(ballot, elector) === null) return false;
  if (!requester_may_vote && isRequester(ballot, elector)) return false;
  return voters === undefined || [client_id, principal, person].some((name) => name !== null && voters.includes(name));
};

/** The votes of those who are still eligible: who loses the capability loses the vote. */
export const votesLeft = (
  ballot: Ballot,
  votes: readonly CastVote[],
  electorate: readonly Elector[],
): readonly CastVote[] => {
  const left = new Set(
    electorate.filter((elector) => isEligible(ballot, elector)).map((each) => voterOf(ballot, each)),
  );
  return votes.filter((vote) => left.has(voterOf(ballot, vote)));
};

/** What these votes decide; null where the question stays open. A rejection that decides goes before a quorum. */
export const verdict = ({ rules }: Pick<Ballot, 'rules'>, votes: readonly CastVote[]): Decided | null => {
  const rejections = votes.filter(({ vote }) => vote === 'reject').length;
  if (rejections >= (rules.veto ? 1 : (rules.max_rejections ?? Infinity))) return 'rejected';
  return votes.length - rejections >= rules.required_confirmations ? 'confirmed' : null;
};

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

/** What became of a question, as an execution that waits for it is told. */
export interface Confirmation {
  readonly coordination_id: CoordinationId;
  readonly status: Decided;
  readonly confirmations: Readonly<Coordination['confirmations']>;
  readonly rejections: Readonly<Coordination['rejections']>;
}
