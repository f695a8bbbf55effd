import { sessionAddress } from '../../machines/address.ts';
import { problem } from '../../machines/error.ts';
import type { ShareContext } from '../../machines/share.ts';
import { newClientOf } from '../operations/clients.ts';
import { answer, refuse, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';
import { parseShareToken } from './keys.ts';
import { drawClient } from './new-client.ts';
import { hashMatches } from './secrets.ts';
import { channelsView } from './views.ts';

const noShare = () => refuse(problem('unauthenticated', 'the token is of no share that lets anybody in'));

export const joinHandler = (context: GatewayContext): Pick<Handlers, 'sessions.join'> => {
  const { system, facts } = context;

  /** The live share of a token; null for one that is malformed, unknown, wrong or dead: the outside cannot tell which. */
  const shareOf = async (token: string): Promise<ShareContext | null> => {
    const id = parseShareToken(token);
    const stored = id === null ? null : await system.reads.find('share', id);
    if (stored === null || stored.done) return null;
    const share = stored.context as unknown as ShareContext;
    return hashMatches(share.token_hash, token) ? share : null;
  };

  return {
    'sessions.join': async (input, call) => {
      const share = await shareOf(input.token);
      if (share === null) return noShare();
      const { session_id, share_id } = share;
      // Who joins with credentials of their own stays who they are.
      const { identity } = call;
      const principal = identity.kind === 'anonymous' ? `share:${share_id}` : identity.principal;
      const { client, token } = drawClient(context, {
        ...newClientOf(input),
        session_id,
        principal,
        root_capability_id: null,
      });
      const since = facts.generation();
      const joined = await system.ask(
        envelope(
          identity.kind === 'anonymous' ? { ...call, identity: { ...identity, principal } } : call,
          sessionAddress(session_id),
          { type: 'session.join', share_id, client },
        ),
      );
      // One that has ended since, or whose time is over, is told apart from the others no more than they are.
      if (!joined.ok) return joined.problem.code === 'unauthenticated' ? noShare() : joined;
      const { capabilities } = joined.body as Pick<typeof client, 'capabilities'>;
      facts.keep(since, { session_id, ...client, capabilities });
      const { webhook_url: _, ...channels } = channelsView(session_id);
      const { client_id } = client;
      return answer({ session_id, client_id, client_token: token, capabilities, ...channels, shared: true });
    },
  };
};
