import type { ClientId, CoordinationId } from './id.ts';
import type { Coordination, Rules } from './question-schema.ts';

export type { ConfirmationRequest, Coordination, Question, Rules } from './question-schema.ts';

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

/** What became of a question, as an execution that waits for it is told. */
export interface Confirmation {
  readonly coordination_id: CoordinationId;
  readonly status: Decided;
  readonly confirmations: Readonly<Coordination['confirmations']>;
  readonly rejections: Readonly<Coordination['rejections']>;
}
