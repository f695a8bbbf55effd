import { sessionAddress } from '../../machines/address.ts';
import { newClientOf } from '../operations/clients.ts';
import { answer, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';
import { drawClient } from './new-client.ts';
import { besides, drawBeside } from './new-webhook.ts';
import { channelsView, clientView } from './views.ts';

export const clientHandlers = (
  context: GatewayContext,
): Pick<Handlers, 'clients.register' | 'clients.list' | 'clients.leave'> => {
  const { system, facts } = context;
  return {
    'clients.register': async (input, call) => {
      const { session_id } = input;
      const drawn = await drawBeside(context, input.webhook_url);
      if (drawn?.ok === false) return drawn;
      const { asked, shown } = besides(drawn);
      const { caller, session } = call.authority;
      const { client, token } = drawClient(context, {
        ...newClientOf(input),
        session_id,
        principal: caller.principal,
        root_capability_id: session.root_capability_id,
      });
      const since = facts.generation();
      const registered = await system.ask(
        envelope(call, sessionAddress(session_id), { type: 'session.register', caller, client, ...asked }),
      );
      if (!registered.ok) return registered;
      const { client_id, capabilities } = registered.body as Pick<typeof client, 'client_id' | 'capabilities'>;
      // A repeated request is answered with the client of the first, whose token was shown then.
      const isNew = client_id === client.client_id;
      if (isNew) facts.keep(since, { session_id, ...client });
      return answer({
        session_id,
        client_id,
        ...(isNew ? { client_token: token } : {}),
        capabilities,
        ...channelsView(session_id),
        ...(isNew ? shown : {}),
      });
    },

    'clients.list': async ({ session_id, after, limit }) => {
      const page = after === undefined ? { limit } : { after, limit };
      const items = (await system.reads.actors(session_id, 'client', page)).map(clientView);
      return answer({ items, next: items.length < limit ? null : (items.at(-1)?.client_id ?? null) });
    },

    'clients.leave': async ({ session_id, client_id }, call) =>
      system.ask(
        envelope(call, sessionAddress(session_id), { type: 'session.leave', caller: call.authority.caller, client_id }),
      ),
  };
};
