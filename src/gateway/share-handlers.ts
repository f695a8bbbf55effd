import { sessionAddress } from '../../machines/address.ts';
import type { ShareContext } from '../../machines/share.ts';
import type { StoredActor } from '../../actors/reads.ts';
import { answer, type Call, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';
import { createShareToken } from './keys.ts';
import { shareView } from './views.ts';

export const isIssuer = ({ authority }: Pick<Call, 'authority'>, share: StoredActor): boolean => {
  const { issuer } = share.context as unknown as ShareContext;
  return issuer.client_id !== null && issuer.client_id === authority.caller.client_id;
};

export const shareHandlers = ({
  system,
}: Pick<GatewayContext, 'system'>): Pick<Handlers, 'shares.create' | 'shares.list' | 'shares.revoke'> => ({
  'shares.create': async ({ session_id, label = null, ...asked }, call) => {
    const share_id = system.newId('share');
    const { token, hash } = createShareToken(share_id);
    const shared = await system.ask(
      envelope(call, sessionAddress(session_id), {
        type: 'session.share',
        caller: call.authority.caller,
        share: { share_id, capability_id: system.newId('capability'), token_hash: hash, label, asked },
      }),
    );
    if (!shared.ok) return shared;
    // A repeated request is answered with the share of the first, whose token was shown then.
    return answer(shared.body['share_id'] === share_id ? { ...shared.body, token } : shared.body);
  },

  'shares.list': async ({ session_id, after, limit }, call) => {
    const items: StoredActor[] = [];
    let cursor = after;
    for (;;) {
      const page = await system.reads.actors(
        session_id,
        'share',
        cursor === undefined ? { limit } : { after: cursor, limit },
      );
      items.push(...page.filter((share) => call.authority.isOwner || isIssuer(call, share)));
      cursor = page.at(-1)?.id;
      if (page.length < limit || items.length >= limit) break;
    }
    const shown = items.slice(0, limit);
    return answer({ items: shown.map(shareView), next: shown.length < limit ? null : (shown.at(-1)?.id ?? null) });
  },

  'shares.revoke': async ({ share_id }, call) =>
    system.ask(
      envelope(call, sessionAddress(call.authority.session.session_id), {
        type: 'session.unshare',
        caller: call.authority.caller,
        share_id,
      }),
    ),
});
