import type { Address } from '../../machines/address.ts';
import type { Envelope, Message } from '../../machines/message.ts';
import type { CallSource } from './call.ts';

/** Puts a message of a call on its way: whose it is, and which request wants the answer. */
export const envelope = (
  { identity, requestId, repeatKey, traceparent }: CallSource,
  to: Address,
  message: Message,
  { fresh = false }: { readonly fresh?: boolean } = {},
): Envelope => ({
  to,
  message,
  ...(fresh ? { fresh } : {}),
  request: { id: requestId, ...(repeatKey === undefined ? {} : { repeat_key: repeatKey }) },
  meta: {
    principal: identity.principal,
    client_id: identity.kind === 'client' ? identity.client.client_id : null,
    correlation_id: null,
    traceparent: traceparent ?? null,
  },
});
