import { addressKey, sessionAddress } from '../../machines/address.ts';
import type { Capability } from '../../machines/capability.ts';
import type { Caller } from '../../machines/message.ts';
import { granted, type SessionContext } from '../../machines/session-context.ts';
import { notFound } from './authorise.ts';
import { answer, refuse, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';

/** All that were granted in the session, for its owner; for others what they hold. The root is nobody's to revoke. */
const visible = (session: SessionContext, { client_id }: Caller, isOwner: boolean): readonly Capability[] => {
  if (isOwner) return granted(session);
  return client_id === null ? [] : (session.clients[client_id]?.capabilities ?? []);
};

export const capabilityHandlers = ({
  system,
}: Pick<GatewayContext, 'system'>): Pick<Handlers, 'capabilities.list' | 'capabilities.revoke'> => ({
  'capabilities.list': async ({ session_id, after = '', limit }, { authority }) => {
    const stored = await system.reads.actor(addressKey(sessionAddress(session_id)));
    if (stored === null) return refuse(notFound('session'));
    const items = visible(stored.context as unknown as SessionContext, authority.caller, authority.isOwner)
      .filter(({ id }) => id > after)
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit);
    return answer({ items, next: items.length < limit ? null : (items.at(-1)?.id ?? null) });
  },

  'capabilities.revoke': async ({ capability_id }, call) =>
    system.ask(
      envelope(call, sessionAddress(call.authority.session.session_id), {
        type: 'session.revoke',
        caller: call.authority.caller,
        capability_id,
      }),
    ),
});
