import { setup } from 'xstate';
import { UNBOUND, act, event, isDue, refusal, reply } from './convention.ts';
import type { Convention, Step } from './convention.ts';
import type { Effect } from './effect.ts';
import { timestamp } from './event.ts';
import type { CoordinationId, ExecutionId, SessionId } from './id.ts';
import type { Caller, CoordinationMessage, DeadlineMessage, Taken } from './message.ts';
import { EXECUTION_ENDED, isEligible, verdict, voterOf, votesLeft } from './question.ts';
import type { CastVote, Coordination, Decided, Elector, Question, Vote } from './question.ts';
import { toExecution, toSession } from './session-effects.ts';

/** All of a question; blank only in the state `new`. */
export interface CoordinationContext extends Convention {
  readonly session_id: SessionId;
  readonly coordination_id: CoordinationId;
  readonly question: Question;
  readonly details: unknown;
  readonly requester: Elector;
  /** The execution that waits for it. */
  readonly execution_id: ExecutionId | null;
  /** Who may write, as the session said last. */
  readonly electorate: readonly Elector[];
  readonly votes: readonly CastVote[];
  /** These in ms since the epoch. */
  readonly asked_at: number;
  readonly decided_at: number | null;
  readonly reason: string | null;
}

const BLANK: CoordinationContext = {
  ...UNBOUND,
  session_id: null as never,
  coordination_id: null as never,
  question: null as never,
  details: null,
  requester: null as never,
  execution_id: null,
  electorate: [],
  votes: [],
  asked_at: 0,
  decided_at: null,
  reason: null,
};

type Incoming = (CoordinationMessage | DeadlineMessage) & Taken;
type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
type Now = Step<CoordinationContext>;

const ballotOf = ({ question, requester, execution_id }: CoordinationContext) => ({
  rules: question,
  requester,
  demanded: execution_id !== null,
});

const namesOf = ({ principal, client_id }: Caller): Caller => ({ principal, client_id });

const cast = ({ votes }: CoordinationContext, which: Vote): Coordination['confirmations'] =>
  votes
    .filter(({ vote }) => vote === which)
    .map(({ principal, client_id, comment, at }) => ({ principal, client_id, comment, at: timestamp(at) }));

const expiry = ({ asked_at, question }: CoordinationContext): number => asked_at + question.timeout * 1_000;

/** A question as everybody who may read sees it. */
export const coordinationView = (context: CoordinationContext, status: Coordination['status']): Coordination => {
  const { operation, description, max_rejections = null, voters = null, ...rules } = context.question;
  const ballot = ballotOf(context);
  return {
    coordination_id: context.coordination_id,
    session_id: context.session_id,
    status,
    operation,
    description,
    details: context.details,
    ...rules,
    max_rejections,
    voters,
    requested_by: namesOf(context.requester),
    execution_id: context.execution_id,
    eligible: context.electorate.filter((elector) => isEligible(ballot, elector)).map(namesOf),
    confirmations: cast(context, 'confirm'),
    rejections: cast(context, 'reject'),
    created_at: timestamp(context.asked_at),
    expires_at: timestamp(expiry(context)),
    decided_at: context.decided_at === null ? null : timestamp(context.decided_at),
    reason: context.reason,
  };
};

const open = (blank: CoordinationContext, message: Of<'coordination.open'>): Now => {
  const { session_id, coordination_id, question, details, requester, execution_id, electorate, at } = message;
  const opened = { session_id, coordination_id, question, details, requester, execution_id, electorate, asked_at: at };
  const context: CoordinationContext = { ...blank, ...opened };
  const shown = coordinationView(context, 'open');
  const { status: _, confirmations: __, rejections: ___, decided_at: ____, reason: _____, ...fact } = shown;
  return {
    change: { ...opened, deadline: expiry(context) },
    effects: [
      event('coordination_request', coordination_id, fact, 'warning'),
      // What an execution waits for, its session has answered already.
      ...(execution_id === null ? [reply({ ...shown })] : []),
    ],
  };
};

/** The one outcome: one event, and who waits for it is told. */
const decide = (context: CoordinationContext, status: Decided, at: number, reason: string | null = null): Now => {
  const { coordination_id, execution_id, question } = context;
  const decided = { ...context, decided_at: at, reason };
  const { confirmations, rejections } = coordinationView(decided, status);
  const outcome = { coordination_id, confirmations, rejections };
  const told: readonly Effect[] =
    execution_id === null || reason === EXECUTION_ENDED
      ? []
      : [toExecution(context, execution_id, { type: 'execution.confirmed', confirmation: { ...outcome, status } })];
  return {
    change: { decided_at: at, reason, deadline: null },
    effects: [
      event(`coordination_${status}`, coordination_id, {
        ...outcome,
        operation: question.operation,
        ...(execution_id === null ? {} : { execution_id }),
        ...(reason === null ? {} : { reason }),
      }),
      toSession(context, { type: 'coordination.ended', coordination_id }),
      ...told,
    ],
  };
};

const standing = (context: CoordinationContext, elector: Elector): CastVote | undefined =>
  context.votes.find((each) => voterOf(ballotOf(context), each) === voterOf(ballotOf(context), elector));

const withVote = (context: CoordinationContext, { elector, vote, comment, at }: Of<'coordination.vote'>) => [
  ...context.votes,
  { ...elector, vote, comment, at },
];

/** What this vote decides; null for none, and for one that does not count. */
const decidedBy = (context: CoordinationContext, message: Of<'coordination.vote'>): Decided | null => {
  const { elector } = message;
  if (!isEligible(ballotOf(context), elector) || standing(context, elector) !== undefined) return null;
  return verdict(ballotOf(context), withVote(context, message));
};

const vote = (context: CoordinationContext, message: Of<'coordination.vote'>): Now => {
  const { elector, vote: said, comment, at } = message;
  const { coordination_id } = context;
  const answer = (effect: Effect): Now => ({ effects: [effect] });
  if (!isEligible(ballotOf(context), elector))
    return answer(refusal('security_violation', 'this voter may not decide the question', { reason: 'voter' }));
  const before = standing(context, elector);
  if (before !== undefined)
    return answer(
      before.vote === said
        ? reply({ ...coordinationView(context, 'open') })
        : refusal('conflict', 'the voter has voted otherwise'),
    );
  const votes = withVote(context, message);
  const next = { ...context, votes };
  const status = decidedBy(context, message);
  const outcome = status === null ? {} : decide(next, status, at);
  const decided = status === null ? next : { ...next, decided_at: at };
  const { confirmations, rejections } = coordinationView(next, 'open');
  return {
    change: { votes, ...outcome.change },
    effects: [
      event('coordination_vote', coordination_id, {
        coordination_id,
        vote: said,
        ...namesOf(elector),
        comment,
        confirmations: confirmations.length,
        rejections: rejections.length,
      }),
      ...(outcome.effects ?? []),
      reply({ ...coordinationView(decided, status ?? 'open') }),
    ],
  };
};

const electorate = (context: CoordinationContext, { electors }: Of<'coordination.electorate'>): Now => ({
  change: { electorate: electors, votes: votesLeft(ballotOf(context), context.votes, electors) },
});

const cancel = (context: CoordinationContext, { by, reason, at }: Of<'coordination.cancel'>): Now => {
  const now = decide(context, 'cancelled', at, reason);
  const decided = { ...context, decided_at: at, reason };
  const answer = by === null ? [] : [reply({ ...coordinationView(decided, 'cancelled') })];
  return { ...now, effects: [...(now.effects ?? []), ...answer] };
};

/** A vote that comes before its deadline is heard of, and after its time, ends it all the same. */
const timeOut =
  (status: 'timed_out' | 'rejected') =>
  (context: CoordinationContext, { type, at }: Of<'deadline' | 'coordination.vote'>): Now => {
    const now = decide(context, status, at, 'timed_out');
    const answer = type === 'deadline' ? [] : [refusal('already_decided', 'the time of the question is over')];
    return { ...now, effects: [...(now.effects ?? []), ...answer] };
  };

/** The actor itself was given up: who waits for it must not wait for ever. */
export const coordinationFailure = (context: CoordinationContext, at: number): readonly Effect[] =>
  context.session_id === null || context.decided_at !== null
    ? []
    : (decide(context, 'cancelled', at, 'actor_failed').effects ?? []);

const { createMachine } = setup({
  types: {} as { context: CoordinationContext; events: Incoming; emitted: Effect },
});

type VoteArgs = { readonly context: CoordinationContext; readonly event: Of<'coordination.vote'> };
type DueArgs = { readonly context: CoordinationContext; readonly event: Of<'deadline' | 'coordination.vote'> };
const voted = act<CoordinationContext, Of<'coordination.vote'>, Incoming>(vote);
const timesOut = [
  {
    guard: ({ context, event: { at } }: DueArgs) => isDue(context, at) && context.question.on_timeout === 'rejected',
    target: 'rejected',
    actions: act<CoordinationContext, Of<'deadline' | 'coordination.vote'>, Incoming>(timeOut('rejected')),
  },
  {
    guard: ({ context, event: { at } }: DueArgs) => isDue(context, at),
    target: 'timed_out',
    actions: act<CoordinationContext, Of<'deadline' | 'coordination.vote'>, Incoming>(timeOut('timed_out')),
  },
] as const;

/** A question with one outcome (contract, section 7): `open → confirmed | rejected | timed_out | cancelled`. */
export const coordination = createMachine({
  id: 'coordination',
  context: BLANK,
  initial: 'new',
  states: {
    new: { on: { 'coordination.open': { target: 'open', actions: act(open) } } },
    open: {
      on: {
        'coordination.vote': [
          ...timesOut,
          {
            guard: ({ context, event: message }: VoteArgs) => decidedBy(context, message) === 'confirmed',
            target: 'confirmed',
            actions: voted,
          },
          {
            guard: ({ context, event: message }: VoteArgs) => decidedBy(context, message) === 'rejected',
            target: 'rejected',
            actions: voted,
          },
          { actions: voted },
        ],
        'coordination.electorate': { actions: act(electorate) },
        'coordination.cancel': { target: 'cancelled', actions: act(cancel) },
        deadline: timesOut,
      },
    },
    confirmed: { type: 'final' },
    rejected: { type: 'final' },
    timed_out: { type: 'final' },
    cancelled: { type: 'final' },
  },
});
