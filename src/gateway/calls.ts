import { StoreFailedError } from '../../actors/journal.ts';
import { problem, type Problem } from '../../machines/error.ts';
import { isId, type ExecutionId } from '../../machines/id.ts';
import { operationOf, type OperationName } from '../operations/table.ts';
import { coveredBy, notFound, notOwner, READ, seeSession, WRITE, type Authority } from './authorise.ts';
import { refuse, type Call, type CallResult, type CallSource, type Handlers } from './call.ts';
import { clientHandlers } from './client-handlers.ts';
import { commandHandlers } from './command-handlers.ts';
import type { GatewayContext } from './context.ts';
import { eventHandlers } from './event-handlers.ts';
import { executionHandlers } from './execution-handlers.ts';
import { invalidInput } from './input.ts';
import { sessionHandlers } from './session-handlers.ts';
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
const NO_EXECUTION = null as unknown as StoredActor;

export const createCalls = (context: GatewayContext, onError: (error: unknown, operation: string) => void): Calls => {
  const { system, facts, presence } = context;
  const handlers: Handlers = {
    ...sessionHandlers(context),
    ...clientHandlers(context),
    ...commandHandlers(context),
    ...executionHandlers(context),
    ...eventHandlers(context),
  };

  /** Step 2: what the call is about, or the same 404 for what is not there and what is out of sight. */
  const see = async (
    operation: Operation,
    input: Record<string, unknown>,
    source: CallSource,
  ): Promise<Call | Problem> => {
    if (operation.sight === 'none') return { ...source, authority: NO_AUTHORITY, execution: NO_EXECUTION };
    if (operation.sight === 'session') {
      const authority = await seeSession(facts, source.identity, input['session_id']);
      return authority === null ? notFound('session') : { ...source, authority, execution: NO_EXECUTION };
    }
    const id = input['execution_id'];
    const execution = isId('execution', id) ? await facts.execution(id as ExecutionId) : null;
    const authority = execution === null ? null : await seeSession(facts, source.identity, execution.session);
    return execution === null || authority === null ? notFound('execution') : { ...source, authority, execution };
  };

  /** Step 4, as far as the operation itself asks for it; `command` is decided with the command at hand. */
  const forbids = (operation: Operation, input: Record<string, unknown>, call: Call): Problem | null => {
    const { identity, authority } = call;
    const uncovered = (need: typeof READ): Problem | null => {
      const covered = coveredBy(identity, authority, need);
      return covered.ok ? null : covered.problem;
    };
    switch (operation.right) {
      case 'principal':
        return identity.kind === 'key'
          ? null
          : problem('security_violation', 'this needs an API key', { reason: 'principal' });
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
      case 'write_or_starter': {
        const { started_by } = call.execution.context as unknown as ExecutionContext;
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

  const authorise: Calls['authorise'] = async (name, raw, source) => {
    const operation = operationOf(name) as Operation;
    if (source.identity.kind === 'client') presence.touch(source.identity.client);
    const input = typeof raw === 'object' && raw !== null ? (raw as Record<string, unknown>) : {};
    const seen = await see(operation, input, source);
    if (!('authority' in seen)) return { ok: false, problem: seen };
    const forbidden = forbids(operation, input, seen as Call) ?? isClosed(operation);
    if (forbidden !== null) return { ok: false, problem: forbidden };
    const checked = operation.input.safeParse(raw);
    if (!checked.success) return { ok: false, problem: invalidInput(checked.error) };
    return { ok: true, input: checked.data, call: seen as Call };
  };

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
        if (!authorised.ok) return refuse(authorised.problem);
        return await handlers[name](authorised.input as never, authorised.call);
      } catch (error) {
        return refuse(faultOf(error, name));
      }
    },
  };
};
