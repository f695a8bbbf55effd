import type { System } from '../../actors/system.ts';
import { sessionAddress } from '../../machines/address.ts';
import type { Problem } from '../../machines/error.ts';
import type { SessionId } from '../../machines/id.ts';
import type { SessionMessage } from '../../machines/message.ts';
import type { Audit } from './audit.ts';
import type { CallSource } from './call.ts';
import { createMerger } from './merge.ts';

/** Every refusal for want of authority leaves its trace (contract, section 6): where, depends on what the caller sees. */
export interface Refusals {
  /** `session` is the one in the caller's sight that it was about; null where there is none. */
  note(
    source: Pick<CallSource, 'identity' | 'address'>,
    operation: string,
    problem: Problem,
    session: SessionId | null,
  ): void;
  /** Tells what is still counted. */
  close(): void;
}

export interface RefusalsOptions {
  readonly system: Pick<System, 'tell' | 'now'>;
  readonly audit: Pick<Audit, 'merge'>;
  /** A limit was reached: a metric, no event. */
  readonly onLimited?: (reason: string) => void;
  /** Default 1,000. */
  readonly windowMs?: number;
}

interface Violation {
  readonly session: SessionId;
  readonly message: Extract<SessionMessage, { type: 'session.violated' }>;
}

export const createRefusals = ({ system, audit, onLimited, windowMs = 1_000 }: RefusalsOptions): Refusals => {
  /** Within a session it is a fact for those who read it: at most one a second for each client and reason. */
  const violations = createMerger<Violation>({
    windowMs,
    tell: ({ session, message }, count) => {
      const { principal, client_id } = message.caller;
      system.tell({
        to: sessionAddress(session),
        message: { ...message, count } as SessionMessage,
        meta: { principal, client_id, correlation_id: null, traceparent: null },
      });
    },
  });

  return {
    note: ({ identity, address }, operation, { status, code, reason = code }, session) => {
      const { principal } = identity;
      const client_id = identity.kind === 'client' ? identity.client.client_id : null;
      if (status === 429) onLimited?.(reason);
      if (status === 403 && session !== null) {
        const caller = { principal, client_id };
        violations.add(JSON.stringify([session, principal, client_id, reason]), {
          session,
          message: { type: 'session.violated', caller, operation, reason, count: 1 },
        });
      } else if (status === 403 || status === 404) {
        // No trace in a session that the caller does not see.
        audit.merge(
          {
            type: status === 403 ? 'access_refused' : 'not_found',
            at: system.now(),
            session_id: null,
            principal,
            client_id,
            data: { operation, reason, address },
          },
          status === 403 ? JSON.stringify([principal, client_id, reason]) : address,
        );
      }
    },
    close: violations.close,
  };
};
