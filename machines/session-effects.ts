import { clientAddress, coordinationAddress, executionAddress, sessionAddress, shareAddress } from './address.ts';
import { refusal, send } from './convention.ts';
import type { Step } from './convention.ts';
import type { Effect } from './effect.ts';
import type { ClientId, CoordinationId, ExecutionId, ShareId } from './id.ts';
import type {
  ClientMessage,
  CoordinationMessage,
  DeadlineMessage,
  ExecutionMessage,
  SessionMessage,
  ShareMessage,
  Taken,
} from './message.ts';
import { touched } from './session-context.ts';
import type { SessionContext } from './session-context.ts';

/** What the steps of a session are given and answer with. */
export type Incoming = (SessionMessage | DeadlineMessage) & Taken;
export type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
export type Now = Step<SessionContext>;

type Place = Pick<SessionContext, 'session_id'>;

export const toSession = ({ session_id }: Place, message: SessionMessage): Effect =>
  send(sessionAddress(session_id), message);

export const toClient = ({ session_id }: Place, id: ClientId, message: ClientMessage, fresh = false): Effect =>
  send(clientAddress(session_id, id), message, fresh);

export const toExecution = ({ session_id }: Place, id: ExecutionId, message: ExecutionMessage, fresh = false): Effect =>
  send(executionAddress(session_id, id), message, fresh);

export const toShare = ({ session_id }: Place, id: ShareId, message: ShareMessage, fresh = false): Effect =>
  send(shareAddress(session_id, id), message, fresh);

export const toCoordination = (
  { session_id }: Place,
  id: CoordinationId,
  message: CoordinationMessage,
  fresh = false,
): Effect => send(coordinationAddress(session_id, id), message, fresh);

export const forbid = (reason: string, detail: string): Effect => refusal('security_violation', detail, { reason });

/** A request that changes nothing but when the session was last active. */
export const answered = (context: SessionContext, at: number, effect: Effect): Now => ({
  change: touched(context, at),
  effects: [effect],
});
