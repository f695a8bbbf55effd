import { charge, release } from './charge.ts';
import { refusal } from './convention.ts';
import { decide, rootCapability } from './decision.ts';
import type { Effect } from './effect.ts';
import type { ClientId, CoordinationId } from './id.ts';
import type { Caller } from './message.ts';
import { personOf } from './person.ts';
import type { Elector } from './question.ts';
import { SESSION_LIMITS, WRITE, findCapability, standing, touched } from './session-context.ts';
import type { SessionClient, SessionContext } from './session-context.ts';
import { answered, forbid, toCoordination, toExecution } from './session-effects.ts';
import type { Incoming, Now, Of } from './session-effects.ts';

const electorOf = (context: SessionContext, { principal, client_id }: Caller): Elector => ({
  client_id,
  principal,
  // Who came by a share that has ended is cut in the same turn: until then nobody else.
  person: personOf(context, principal) ?? principal,
});

/** Who may write, hence vote (contract, section 7): the clients that may, and the owner with a key. */
const electorate = (context: SessionContext, at: number): readonly Elector[] => [
  electorOf(context, { principal: context.owner, client_id: null }),
  ...(Object.entries(context.clients) as [ClientId, SessionClient][])
    .filter(([, { capabilities }]) => decide(capabilities, WRITE, at).allowed)
    .map(([client_id, { principal }]) => electorOf(context, { principal, client_id })),
];

/** A session has so many live questions (contract, section 2). */
export const isFull = ({ coordinations }: SessionContext): boolean =>
  coordinations.length >= SESSION_LIMITS.coordinations;

const isOpen = ({ coordinations }: SessionContext, wanted: CoordinationId): boolean =>
  coordinations.some(({ id }) => id === wanted);

const tell = (context: SessionContext, id: CoordinationId, electors: readonly Elector[]): Effect =>
  toCoordination(context, id, { type: 'coordination.electorate', electors });

export const tooMany = (): Effect =>
  refusal('conflict', `a session has at most ${SESSION_LIMITS.coordinations} open questions`);

/** Opens a question of this session; the one place that does. */
export const opening = (
  context: SessionContext,
  at: number,
  asked: Pick<Of<'session.confirm'>, 'coordination_id' | 'question' | 'details'> & {
    readonly requester: Caller;
    readonly execution_id: Of<'session.confirm'>['execution_id'] | null;
  },
): { readonly coordinations: SessionContext['coordinations']; readonly effect: Effect } => {
  const { coordination_id, question, details, requester, execution_id } = asked;
  return {
    coordinations: [...context.coordinations, { id: coordination_id, execution_id: asked.execution_id }],
    effect: toCoordination(
      context,
      coordination_id,
      {
        type: 'coordination.open',
        session_id: context.session_id,
        coordination_id,
        question,
        details,
        execution_id,
        requester: electorOf(context, requester),
        electorate: electorate(context, at),
      },
      true,
    ),
  };
};

const heldBy = (context: SessionContext, { client_id }: Caller) =>
  client_id === null ? [rootCapability(context)] : (context.clients[client_id]?.capabilities ?? []);

/** Asks a question: for who may write, charged like a command. */
export const ask = (context: SessionContext, message: Of<'session.ask'>): Now => {
  const { caller, coordination_id, question, at } = message;
  const refuse = (effect: Effect): Now => answered(context, at, effect);
  const decision = decide(heldBy(context, caller), WRITE, at);
  if (!decision.allowed) return refuse(forbid(decision.reason, 'no capability held covers write'));
  if (isOpen(context, coordination_id)) return refuse(refusal('conflict', 'the question is there already'));
  if (isFull(context)) return refuse(tooMany());
  const charged = charge(context.ledger, decision.covering, (id) => findCapability(context, id), at);
  if (!charged.ok) return refuse({ type: 'reply', answer: charged });
  const { coordinations, effect } = opening(context, at, {
    coordination_id,
    question,
    details: null,
    requester: caller,
    execution_id: null,
  });
  // It runs nothing: it counts among what was used, not among what is under way.
  const ledger = release(charged.ledger, charged.charged);
  return { change: touched(context, at, { coordinations, ledger }), effects: [effect] };
};

/** A handler asks in the middle of its execution. */
export const confirm = (context: SessionContext, message: Of<'session.confirm'>): Now => {
  const { execution_id, coordination_id, at } = message;
  if (isOpen(context, coordination_id)) return {};
  if (isFull(context) || context.ending !== null) {
    const confirmation = { coordination_id, status: 'cancelled', confirmations: [], rejections: [] } as const;
    return { effects: [toExecution(context, execution_id, { type: 'execution.confirmed', confirmation })] };
  }
  const { coordinations, effect } = opening(context, at, message);
  return { change: { coordinations }, effects: [effect] };
};

const ALREADY = 'the question has its outcome';

/** Who may vote, the question itself says; that it is open, and that the caller may write, is said here. */
export const vote = (context: SessionContext, message: Of<'session.vote'>): Now => {
  const { caller, coordination_id, vote: said, comment, at } = message;
  const refuse = (effect: Effect): Now => answered(context, at, effect);
  if (!isOpen(context, coordination_id)) return refuse(refusal('already_decided', ALREADY));
  const decision = decide(heldBy(context, caller), WRITE, at);
  if (!decision.allowed) return refuse(forbid(decision.reason, 'voting needs write'));
  const elector = electorOf(context, caller);
  // Where the time of a capability is over and its deadline under way, nothing is decided with the vote it gave.
  const { lapses_at } = context;
  const news = lapses_at !== null && at >= lapses_at ? [tell(context, coordination_id, electorate(context, at))] : [];
  return {
    change: touched(context, at),
    effects: [
      ...news,
      toCoordination(context, coordination_id, { type: 'coordination.vote', elector, vote: said, comment }),
    ],
  };
};

/** For who asked, and the owner: the gateway has looked who asked, and the session who is the owner. */
export const retract = (context: SessionContext, message: Of<'session.retract'>): Now => {
  const { caller, coordination_id, requested_by, at } = message;
  const refuse = (effect: Effect): Now => answered(context, at, effect);
  if (!isOpen(context, coordination_id)) return refuse(refusal('already_decided', ALREADY));
  const isOwn = requested_by.client_id === caller.client_id && requested_by.principal === caller.principal;
  if (standing(context, caller) !== 'owner' && !isOwn)
    return refuse(forbid('owner', 'only who asked, or the owner, takes a question back'));
  return {
    change: touched(context, at),
    effects: [toCoordination(context, coordination_id, { type: 'coordination.cancel', by: caller, reason: null })],
  };
};

export const ended = (context: SessionContext, { coordination_id }: Of<'coordination.ended'>): Now => ({
  change: { coordinations: context.coordinations.filter(({ id }) => id !== coordination_id) },
});

/** Takes all questions back, as the session ends; those for which an execution waits end with it. */
export const cancelAll = (context: SessionContext): readonly Effect[] =>
  context.coordinations.flatMap(({ id, execution_id }) =>
    execution_id === null
      ? [toCoordination(context, id, { type: 'coordination.cancel', by: null, reason: 'session_ended' })]
      : [],
  );

/**
 * The same step, after which open questions hear who may vote now. Nothing is compared: what a time has taken from
 * somebody is gone from the electorate before the step as well as after it.
 */
export const telling =
  <Event extends Incoming>(step: (context: SessionContext, message: Event) => Now) =>
  (context: SessionContext, message: Event): Now => {
    const now = step(context, message);
    const { clients, shares } = now.change ?? {};
    if (context.coordinations.length === 0 || (clients === undefined && shares === undefined)) return now;
    const electors = electorate({ ...context, ...now.change }, message.at);
    return {
      ...now,
      effects: [...(now.effects ?? []), ...context.coordinations.map(({ id }) => tell(context, id, electors))],
    };
  };
