import type { SessionId } from './id.ts';

/** What an actor can be. Later storeys of the house add their kinds to the catalogue, not here. */
export type ActorKind = string;

/** Where an actor is: it lives on the shard of its session. */
export interface Address {
  readonly session: SessionId;
  readonly kind: ActorKind;
  readonly id: string;
}

export const sessionAddress = (session: SessionId): Address => ({ session, kind: 'session', id: session });
export const clientAddress = (session: SessionId, id: string): Address => ({ session, kind: 'client', id });
export const executionAddress = (session: SessionId, id: string): Address => ({ session, kind: 'execution', id });

export const shareAddress = (session: SessionId, id: string): Address => ({ session, kind: 'share', id });

export const coordinationAddress = (session: SessionId, id: string): Address => ({ session, kind: 'coordination', id });
export const webhookAddress = (session: SessionId, id: string): Address => ({ session, kind: 'webhook', id });
export const deliveryAddress = (session: SessionId, id: string): Address => ({ session, kind: 'delivery', id });

/** An address as one word, unique over the whole system: the key of its snapshot. */
export const addressKey = (to: Address): string => `${to.session}/${to.kind}/${to.id}`;

export const addressOf = (key: string): Address => {
  const [session, kind, id] = key.split('/') as [SessionId, string, string];
  return { session, kind, id };
};
