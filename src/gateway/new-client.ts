import type { Capability, ClientType } from '../../machines/capability.ts';
import { timestamp } from '../../machines/event.ts';
import type { CapabilityId, SessionId } from '../../machines/id.ts';
import type { NewClient } from '../../machines/message.ts';
import type { GatewayContext } from './context.ts';
import { createClientToken } from './keys.ts';

export interface ClientToDraw {
  readonly session_id: SessionId;
  readonly type: ClientType;
  readonly name: string | null;
  readonly principal: string;
  /** What its capabilities descend from; null where it gets those of a share. */
  readonly root_capability_id: CapabilityId | null;
}

/** Draws ids, capabilities and token of a client. The token stays here; its hash goes round the ring. */
export const drawClient = (
  { system, grants }: Pick<GatewayContext, 'system' | 'grants'>,
  { session_id, type, name, principal, root_capability_id }: ClientToDraw,
): { readonly client: NewClient; readonly token: string } => {
  const client_id = system.newId('client');
  const { token, hash } = createClientToken(client_id);
  const issued_at = timestamp(system.now());
  const granted = root_capability_id === null ? [] : grants[type];
  const capabilities = granted.map(
    (grant): Capability => ({
      id: system.newId('capability'),
      ...grant,
      principal,
      session_id,
      parent_id: root_capability_id,
      depth: 1,
      issued_at,
    }),
  );
  return { client: { client_id, type, name, principal, token_hash: hash, capabilities }, token };
};
