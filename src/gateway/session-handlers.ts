import type { StoredActor } from '../../actors/reads.ts';
import {
  addressKey,
  clientAddress,
  coordinationAddress,
  executionAddress,
  sessionAddress,
} from '../../machines/address.ts';
import type { SessionId } from '../../machines/id.ts';
import type { SessionContext } from '../../machines/session-context.ts';
import { newClientOf } from '../operations/clients.ts';
import { DEFAULT_TTL, type SessionState } from '../operations/sessions.ts';
import { answer, refuse, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { storedCoordinationView } from './coordination-handlers.ts';
import { envelope } from './envelope.ts';
import type { ClientIdentity } from './principals.ts';
import { drawClient } from './new-client.ts';
import { besides, drawBeside } from './new-webhook.ts';
import { notFound } from './authorise.ts';
import { channelsView, clientView, executionView, sessionView } from './views.ts';

/** Live executions that a state shows. */
const SHOWN_EXECUTIONS = 100;

/**
 * A session at one moment; null for none. `seq` is read first, so that what it shows is at least as new: who then applies
 * the events after `seq` may apply one twice, but misses none.
 */
export const sessionState = async (
  { system: { reads } }: Pick<GatewayContext, 'system'>,
  session: SessionId,
): Promise<SessionState | null> => {
  const { last } = await reads.events(session, { after: Number.MAX_SAFE_INTEGER, limit: 1 });
  const stored = await reads.actor(addressKey(sessionAddress(session)));
  if (stored === null) return null;
  const context = stored.context as unknown as SessionContext;
  const [clients, executions, coordinations] = await Promise.all([
    Promise.all(
      Object.keys(context.clients)
        .toSorted()
        .map((id) => reads.actor(addressKey(clientAddress(session, id)))),
    ),
    Promise.all(
      context.executions
        .slice(0, SHOWN_EXECUTIONS)
        .map(({ id }) => reads.actor(addressKey(executionAddress(session, id)))),
    ),
    // Those of a release without questions have none.
    Promise.all(
      (context.coordinations ?? []).map(({ id }) => reads.actor(addressKey(coordinationAddress(session, id)))),
    ),
  ]);
  return {
    ...sessionView(stored),
    seq: last,
    clients: clients.filter(isLive).map(clientView),
    executions: executions.filter(isLive).map((execution) => {
      const { args: _, ...view } = executionView(execution);
      return view;
    }),
    coordinations: coordinations.filter(isLive).map(storedCoordinationView),
  };
};

const isLive = (actor: StoredActor | null): actor is StoredActor => actor !== null && !actor.done;

export const sessionHandlers = (
  context: GatewayContext,
): Pick<Handlers, 'sessions.create' | 'sessions.list' | 'sessions.get' | 'sessions.close'> => {
  const { system, facts } = context;

  /** The session of a client, where its principal owns it. */
  const ownOf = async ({ principal, client: { session_id } }: ClientIdentity, after = '') => {
    const stored = session_id > after ? await system.reads.actor(addressKey(sessionAddress(session_id))) : null;
    const session = stored === null ? null : sessionView(stored);
    return { items: session?.owner === principal ? [session] : [], next: null };
  };

  return {
    'sessions.create': async (input, call) => {
      const drawn = await drawBeside(context, input.webhook_url);
      if (drawn?.ok === false) return drawn;
      const { asked, shown } = besides(drawn);
      const session_id = system.newId('session');
      const root_capability_id = system.newId('capability');
      const owner = call.identity.principal;
      const { client, token } = drawClient(context, {
        ...newClientOf(input),
        session_id,
        principal: owner,
        root_capability_id,
      });
      const since = facts.generation();
      const opened = await system.ask(
        envelope(
          call,
          sessionAddress(session_id),
          {
            type: 'session.open',
            session_id,
            owner,
            ttl_ms: (input.ttl ?? DEFAULT_TTL) * 1000,
            root_capability_id,
            client,
            ...asked,
          },
          { fresh: true },
        ),
      );
      if (!opened.ok) return opened;
      facts.keep(since, { session_id, ...client }, { session_id, owner, root_capability_id, opened_at: system.now() });
      const { client_id, capabilities } = client;
      return answer({
        session_id,
        client_id,
        client_token: token,
        capabilities,
        ...channelsView(session_id),
        ...shown,
      });
    },

    'sessions.list': async ({ after, limit }, { identity }) => {
      // A client sees no session but the one it is in, whatever its principal owns.
      if (identity.kind === 'client') return answer(await ownOf(identity, after));
      const page = after === undefined ? { limit } : { after, limit };
      const stored = await system.reads.labelled('session', identity.principal, page);
      const items = stored.map(sessionView);
      return answer({ items, next: items.length < limit ? null : (items.at(-1)?.session_id ?? null) });
    },

    'sessions.get': async ({ session_id }) => {
      const state = await sessionState(context, session_id);
      return state === null ? refuse(notFound('session')) : answer(state);
    },

    'sessions.close': async ({ session_id }, call) =>
      system.ask(envelope(call, sessionAddress(session_id), { type: 'session.close', caller: call.authority.caller })),
  };
};
