import type { StoredActor } from '../../actors/reads.ts';
import { addressKey, coordinationAddress, sessionAddress } from '../../machines/address.ts';
import { coordinationView, type CoordinationContext } from '../../machines/coordination.ts';
import type { Caller } from '../../machines/message.ts';
import type { Coordination, Vote } from '../../machines/question.ts';
import { notFound } from './authorise.ts';
import { answer, refuse, type Call, type CallResult, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';
import { waitFor } from './long-poll.ts';

const contextOf = ({ context }: StoredActor): CoordinationContext => context as unknown as CoordinationContext;

/** One whose actor was given up was announced as cancelled, and has kept nothing of it (`coordinationFailure`). */
export const storedCoordinationView = (stored: StoredActor): Coordination =>
  stored.state === 'failed'
    ? coordinationView({ ...contextOf(stored), reason: 'actor_failed' }, 'cancelled')
    : coordinationView(contextOf(stored), stored.state as Coordination['status']);

const isSame = (a: Caller, b: Caller): boolean => a.principal === b.principal && a.client_id === b.client_id;

export const isRequester = ({ authority }: Pick<Call, 'authority'>, coordination: StoredActor): boolean =>
  isSame(contextOf(coordination).requester, authority.caller);

type Names = 'create' | 'list' | 'get' | 'cancel' | 'vote';

export const coordinationHandlers = (
  context: Pick<GatewayContext, 'system' | 'waits' | 'slots' | 'presence' | 'cuts'>,
): Pick<Handlers, `coordinations.${Names}`> => {
  const { system, waits } = context;
  const stored = ({ session, id }: Pick<StoredActor, 'session' | 'id'>): Promise<StoredActor | null> =>
    system.reads.actor(addressKey(coordinationAddress(session, id)));

  /** Whoever repeats the vote that counted is answered alike, also once it has decided. */
  const repeated = async (vote: Vote, call: Call): Promise<CallResult | null> => {
    const now = await stored(call.subject);
    if (now === null) return null;
    const before = contextOf(now).votes.find((each) => isSame(each, call.authority.caller));
    return before?.vote === vote ? answer(storedCoordinationView(now)) : null;
  };

  return {
    'coordinations.create': async ({ session_id, ...question }, call) =>
      system.ask(
        envelope(call, sessionAddress(session_id), {
          type: 'session.ask',
          caller: call.authority.caller,
          coordination_id: system.newId('coordination'),
          question,
        }),
      ),

    'coordinations.list': async ({ session_id, after, limit }) => {
      const page = after === undefined ? { limit } : { after, limit };
      const items = (await system.reads.actors(session_id, 'coordination', page)).map(storedCoordinationView);
      return answer({ items, next: items.length < limit ? null : (items.at(-1)?.coordination_id ?? null) });
    },

    'coordinations.get': async ({ coordination_id, wait = 0 }, call) => {
      if (wait === 0 || call.subject.done) return answer(storedCoordinationView(call.subject));
      const waiter = waits.open(coordination_id);
      // Read after the waiter is there: an outcome before this line is seen here, one after it wakes the waiter.
      const before = await stored(call.subject);
      if (before === null || before.done) {
        waiter.cancel();
        return before === null ? refuse(notFound('coordination')) : answer(storedCoordinationView(before));
      }
      const waited = await waitFor(context, call, waiter, wait);
      if (!waited.ok) return waited;
      const now = await stored(call.subject);
      return now === null ? refuse(notFound('coordination')) : answer(storedCoordinationView(now));
    },

    'coordinations.cancel': async ({ coordination_id }, call) => {
      const { principal, client_id } = contextOf(call.subject).requester;
      return system.ask(
        envelope(call, sessionAddress(call.authority.session.session_id), {
          type: 'session.retract',
          caller: call.authority.caller,
          coordination_id,
          requested_by: { principal, client_id },
        }),
      );
    },

    'coordinations.vote': async ({ coordination_id, vote, comment = null }, call) => {
      const voted = await system.ask(
        envelope(call, sessionAddress(call.authority.session.session_id), {
          type: 'session.vote',
          caller: call.authority.caller,
          coordination_id,
          vote,
          comment,
        }),
      );
      if (voted.ok || voted.problem.code !== 'already_decided') return voted;
      return (await repeated(vote, call)) ?? voted;
    },
  };
};
