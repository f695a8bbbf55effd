import { operationNames, operationOf } from '../operations/table.ts';
import type { Operation } from '../operations/operation.ts';
import type { Can, SessionState } from '../operations/sessions.ts';
import { coveredBy, mayShare, READ, WRITE, type Authority } from './authorise.ts';
import { needOf } from './command-handlers.ts';
import type { GatewayContext } from './context.ts';
import type { SessionFacts } from './facts.ts';
import type { ClientIdentity } from './principals.ts';

/** What is legal for a client now: its capability and the state of the session, without budgets (contract, section 3). */
export const canView = (
  { commands, system: { now } }: Pick<GatewayContext, 'commands' | 'system'>,
  identity: ClientIdentity,
  session: SessionFacts,
  { seq, status }: Pick<SessionState, 'seq' | 'status'>,
): Can => {
  const { principal, client } = identity;
  const authority: Authority = {
    session,
    isOwner: session.owner === principal,
    caller: { principal, client_id: client.client_id },
  };
  const at = now();
  const isOpen = status === 'active' || status === 'suspended';
  const covers = (need: typeof READ): boolean => coveredBy(identity, authority, need, at).ok;
  const runnable = isOpen
    ? [...commands.values()].filter(({ facts }) => covers(needOf(facts))).map(({ facts }) => facts.name)
    : [];
  const isLegal = ({ right, mutating }: Operation): boolean => {
    if (mutating && !isOpen && right !== 'owner_or_self') return false;
    switch (right) {
      case 'principal':
      case 'share_token':
      case 'operator':
        return false;
      case 'authenticated':
      case 'owner_or_self':
        return true;
      case 'read':
        return covers(READ);
      case 'write':
        return covers(WRITE);
      case 'owner':
        return authority.isOwner;
      // Who may share is the one who may have made shares to be ended.
      case 'owner_or_sharer':
      case 'owner_or_issuer':
        return authority.isOwner || mayShare(identity, at);
      case 'owner_or_requester':
        return authority.isOwner || covers(WRITE);
      case 'write_or_starter':
        return authority.isOwner || covers(WRITE) || runnable.length > 0;
      case 'command':
        return runnable.length > 0;
    }
  };
  const operations = operationNames.filter((name) => isLegal(operationOf(name) as Operation));
  return { seq, operations, commands: runnable };
};
