import type { ShareId } from './id.ts';
import type { SessionContext } from './session-context.ts';

const SHARE = 'share:';

/**
 * Whom a principal counts as where it matters that two are not one (contract, section 7): the principal of a share is its
 * issuer, over any number of shares of shares, so that nobody confirms themselves through a share of their own. Who came
 * by a share with credentials of their own stays who they are. A share that has ended is nobody: null.
 */
export const personOf = ({ shares }: Pick<SessionContext, 'shares'>, principal: string): string | null => {
  let person = principal;
  // A share is issued by who was there before it: the way up ends.
  for (let steps = 0; person.startsWith(SHARE); steps++) {
    const share = shares[person.slice(SHARE.length) as ShareId];
    if (share === undefined || steps > Object.keys(shares).length) return null;
    person = share.issuer.principal;
  }
  return person;
};
