import { StoreFailedError } from '../../actors/journal.ts';
import { problem, type Problem } from '../../machines/error.ts';
import { isId, type SessionId } from '../../machines/id.ts';
import { operationOf, type OperationName } from '../operations/table.ts';
import { coveredBy, mayShare, notFound, notOwner, READ, seeSession, WRITE, type Authority } from './authorise.ts';
import { refuse, type Call, type CallResult, type CallSource, type Handlers } from './call.ts';
import { auditHandlers } from './audit-handlers.ts';
import { capabilityHandlers } from './capability-handlers.ts';
import { clientHandlers } from './client-handlers.ts';
import { commandHandlers } from './command-handlers.ts';
import { coordinationHandlers, isRequester } from './coordination-handlers.ts';
import type { GatewayContext } from './context.ts';
import { eventHandlers } from './event-handlers.ts';
import { executionHandlers } from './execution-handlers.ts';
import { invalidInput } from './input.ts';
import { joinHandler } from './join-handler.ts';
import { keyHandlers } from './key-handlers.ts';
import { sessionHandlers } from './session-handlers.ts';
import { isIssuer, shareHandlers } from './share-handlers.ts';
import { webhookHandlers } from './webhook-handlers.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { Operation } from '../operations/operation.ts';
import type { StoredActor } from '../../actors/reads.ts';

/** What every binding does with a call: steps 2 to 5 of the decision (contract, section 6), then the operation. */
export interface Calls {
  call(name: OperationName, input: unknown, source: CallSource): Promise<CallResult>;
  /**
   * The steps of a call without its operation: who may see, with what authority. For bindings that answer in another way,
   * as a stream does.
   */
  authorise(name: OperationName, input: unknown, source: CallSource): Promise<Authorised>;
}

export type Authorised =
  | { readonly ok: true; readonly input: unknown; readonly call: Call }
  | { readonly ok: false; readonly problem: Problem };

const NO_AUTHORITY = null as unknown as Authority;
const NO_SUBJECT = null as unknown as StoredActor;

const sessionOf = ({ authority }: Call): SessionId | null =>
  authority === NO_AUTHORITY ? null : authority.session.session_id;

export const createCalls = (context: GatewayContext, onError: (error: unknown, operation: string) => void): Calls => {
  const { system, facts, presence, refusals } = context;
  const handlers: Handlers = {
    ...sessionHandlers(context),
    ...clientHandlers(context),
    ...commandHandlers(context),
    ...executionHandlers(context),
    ...eventHandlers(context),
    ...keyHandlers(context),
    ...shareHandlers(context),
    ...coordinationHandlers(context),
    ...joinHandler(context),
    ...capabilityHandlers(context),
    ...auditHandlers(context),
    ...webhookHandlers(context),
  };

  /** What the call is about besides a session, by the id that its input names. */
  const subjectOf = async (sight: Operation['sight'], input: Record<string, unknown>): Promise<StoredActor | null> => {
    const { execution_id, share_id, capability_id, coordination_id, webhook_id, delivery_id } = input;
    if (sight === 'execution') return isId('execution', execution_id) ? facts.execution(execution_id) : null;
    if (sight === 'share') return isId('share', share_id) ? system.reads.find('share', share_id) : null;
    if (sight === 'webhook') return isId('webhook', webhook_id) ? system.reads.find('webhook', webhook_id) : null;
    if (sight === 'delivery') return isId('delivery', delivery_id) ? system.reads.find('delivery', delivery_id) : null;
    if (sight === 'coordination')
      return isId('coordination', coordination_id) ? system.reads.find('coordination', coordination_id) : null;
    return isId('capability', capability_id) ? system.reads.alias(capability_id) : null;
  };

  /** Step 2: what the call is about, or the same 404 for what is not there and what is out of sight. */
  const see = async (
    operation: Operation,
    input: Record<string, unknown>,
    source: CallSource,
  ): Promise<Call | Problem> => {
    const { sight } = operation;
    if (sight === 'none') return { ...source, authority: NO_AUTHORITY, subject: NO_SUBJECT };
    if (sight === 'session') {
      const authority = await seeSession(facts, source.identity, input['session_id']);
      return authority === null ? notFound('session') : { ...source, authority, subject: NO_SUBJECT };
    }
    const subject = await subjectOf(sight, input);
    const authority = subject === null ? null : await seeSession(facts, source.identity, subject.session);
    return subject === null || authority === null ? notFound(sight) : { ...source, authority, subject };
  };

  /** Step 4, as far as the operation itself asks for it; `command` is decided with the command at hand. */
  const forbids = (operation: Operation, input: Record<string, unknown>, call: Call): Problem | null => {
    const { identity, authority } = call;
    const at = system.now();
    const uncovered = (need: typeof READ): Problem | null => {
      const covered = coveredBy(identity, authority, need, at);
      return covered.ok ? null : covered.problem;
    };
    switch (operation.right) {
      case 'principal':
      case 'share_token':
        return identity.kind !== 'client'
          ? null
          : problem('security_violation', 'this needs an API key', { reason: 'principal' });
      case 'operator':
        return identity.kind === 'key' && identity.operator
          ? null
          : problem('security_violation', 'this needs the key of an operator', { reason: 'operator' });
      case 'authenticated':
      case 'command':
        return null;
      case 'read':
        return uncovered(READ);
      case 'write':
        return uncovered(WRITE);
      case 'owner':
        return authority.isOwner ? null : notOwner();
      case 'owner_or_self':
        return authority.isOwner || authority.caller.client_id === input['client_id'] ? null : notOwner();
      case 'owner_or_sharer':
        return authority.isOwner || mayShare(identity, at)
          ? null
          : problem('security_violation', 'no capability held may be shared', { reason: 'may_share' });
      case 'owner_or_issuer':
        return authority.isOwner || isIssuer(call, call.subject) ? null : notOwner();
      case 'owner_or_requester':
        return authority.isOwner || isRequester(call, call.subject) ? null : notOwner();
      case 'write_or_starter': {
        const { started_by } = call.subject.context as unknown as ExecutionContext;
        return authority.isOwner || started_by.client_id === authority.caller.client_id ? null : uncovered(WRITE);
      }
    }
  };

  /** What the whole server's state forbids: nothing is changed before it is ready or while it drains. */
  const isClosed = (operation: Operation): Problem | null => {
    if (!operation.mutating) return null;
    const readiness = system.readiness();
    if (readiness.ready || readiness.state === 'rebuilding') return null;
    const code = readiness.state === 'read_only' ? 'read_only' : 'unavailable';
    return problem(code, readiness.detail, { retry_after: 1 });
  };

  /** A refusal leaves its trace, whichever step it comes from. */
  const refused = (name: string, source: CallSource, what: Problem, session: SessionId | null): Problem => {
    refusals.note(source, name, what, session);
    return what;
  };

  const authorise: Calls['authorise'] = async (name, raw, source) => {
    const operation = operationOf(name) as Operation;
    if (source.identity.kind === 'client') presence.touch(source.identity.client);
    const input = typeof raw === 'object' && raw !== null ? (raw as Record<string, unknown>) : {};
    const seen = await see(operation, input, source);
    if (!('authority' in seen)) return { ok: false, problem: refused(name, source, seen, null) };
    const call = seen as Call;
    const forbidden = forbids(operation, input, call) ?? isClosed(operation);
    if (forbidden !== null) return { ok: false, problem: refused(name, source, forbidden, sessionOf(call)) };
    const checked = operation.input.safeParse(raw);
    if (!checked.success) return { ok: false, problem: invalidInput(checked.error) };
    return { ok: true, input: checked.data, call };
  };

  /**
   * An answer that was under way when its caller lost the right to hear of the session stays here. Who ended it oneself
   * is told so.
   */
  const isTooLate = ({ right }: Operation, { identity }: CallSource): boolean =>
    identity.kind === 'client' && facts.barred(identity.client.client_id) !== undefined && !right.startsWith('owner');

  /** A fault of the server: the outside hears what to do, the log hears what it was. */
  const faultOf = (error: unknown, name: string): Problem => {
    onError(error, name);
    return error instanceof StoreFailedError
      ? problem('unavailable', 'the store could not be read', { retry_after: 1 })
      : problem('internal', 'the server failed');
  };

  return {
    authorise: async (name, raw, source) => {
      try {
        return await authorise(name, raw, source);
      } catch (error) {
        return { ok: false, problem: faultOf(error, name) };
      }
    },
    call: async (name, raw, source) => {
      try {
        const authorised = await authorise(name, raw, source);
        if (!authorised.ok) return authorised;
        const { call, input } = authorised;
        const run = handlers[name] as (checked: unknown, allowed: Call) => Promise<CallResult>;
        const result = await run(input, call);
        if (isTooLate(operationOf(name) as Operation, source))
          return refuse(problem('unauthenticated', 'the right to this was revoked'));
        return result.ok ? result : refuse(refused(name, source, result.problem, sessionOf(call)));
      } catch (error) {
        return refuse(faultOf(error, name));
      }
    },
  };
};
