import { sessionAddress } from '../../machines/address.ts';
import type { Need } from '../../machines/capability.ts';
import type { Command, CommandFacts } from '../../machines/command.ts';
import { problem, type Problem } from '../../machines/error.ts';
import type { ExecutionId, SessionId } from '../../machines/id.ts';
import { masked } from '../../machines/mask.ts';
import { describeCommand } from '../commands/describe-command.ts';
import type { CheckedInputOf } from '../operations/table.ts';
import { coveredBy, WRITE } from './authorise.ts';
import { answer, refuse, type Call, type CallResult, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';
import { canonicalJson, invalidInput, isDeeperThan } from './input.ts';
import { waitFor } from './long-poll.ts';
import { besides, drawBeside } from './new-webhook.ts';
import type { PrincipalUse } from './principal-limits.ts';
import { sha256 } from './secrets.ts';
import { endedView, endedViewOf, pendingView } from './views.ts';

/** Seconds for which a call of a sync command waits unless it says otherwise (contract, section 2). */
const SYNC_WAIT = 30;

/** The command that `exports.create` stands for. */
const EXPORT = 'export';

/** Levels of arrays and objects in the arguments of a command. */
const MAX_DEPTH = 64;

const tooDeep = (): Problem =>
  problem('invalid_input', 'not as expected: args', {
    errors: [{ field: 'args', expected: `at most ${MAX_DEPTH} levels` }],
  });

export const needOf = ({ name, operation, resource, risk }: CommandFacts): Need => ({
  name,
  operation,
  resource,
  risk,
});

/** What the limit across sessions counts, and what makes it a repeat. */
const useOf = (
  { name, resource }: CommandFacts,
  { identity, repeatKey }: Call,
  session: SessionId,
  idempotencyKey: string | undefined,
): PrincipalUse => {
  const { principal } = identity;
  const type = identity.kind === 'client' ? identity.client.type : 'api';
  const repeat = idempotencyKey === undefined ? repeatKey && ['request', repeatKey] : ['key', idempotencyKey];
  return {
    principal,
    command: name,
    type: resource === 'mcp_tool' ? 'mcp_tool' : type,
    repeatKey: repeat ? JSON.stringify([session, principal, ...repeat]) : null,
  };
};

export const commandHandlers = (
  context: GatewayContext,
): Pick<Handlers, 'commands.list' | 'commands.execute' | 'exports.create'> => {
  const { system, waits, facts, commands, limits, principalLimits, audit } = context;
  const descriptions = new Map([...commands].map(([name, command]) => [name, describeCommand(command)] as const));

  /** Answers for an execution that may have ended already: a repeat, or the same idempotency key. */
  const answerKnown = async (id: ExecutionId, wait: number, call: Call): Promise<CallResult> => {
    if (wait === 0) return answer(pendingView(id));
    const waiter = waits.open(id);
    const stored = await facts.execution(id);
    if (stored === null || stored.done) {
      waiter.cancel();
      return answer(stored === null ? pendingView(id) : endedViewOf(stored));
    }
    const waited = await waitFor(context, call, waiter, wait);
    return answer(waited.ok && waited.json !== null ? endedView(waited.json) : pendingView(id));
  };

  const execute = async (
    command: Command,
    input: CheckedInputOf<'commands.execute'>,
    call: Call,
  ): Promise<CallResult> => {
    const covered = coveredBy(call.identity, call.authority, needOf(command.facts), system.now());
    if (!covered.ok) return covered;
    if (isDeeperThan(input.args, MAX_DEPTH)) return refuse(tooDeep());
    const checked = await command.args.safeParseAsync(input.args);
    if (!checked.success) return refuse(invalidInput(checked.error, ['args']));
    if (input.webhook_url !== undefined) {
      const mayWrite = coveredBy(call.identity, call.authority, WRITE, system.now());
      if (!mayWrite.ok) return mayWrite;
    }
    const drawn = await drawBeside(context, input.webhook_url);
    if (drawn?.ok === false) return drawn;
    const along = besides(drawn);
    const timeout = input.timeout ?? command.facts.timeout;
    if (input.dry_run) {
      const { name, mode, risk, secrets } = command.facts;
      const { id: capability_id, constraints } = covered.capability;
      const confirmations = Math.max(
        command.facts.confirmations?.required_confirmations ?? 0,
        constraints.require_confirmations ?? 0,
      );
      // A schema may give a marked field another name: then what was given is shown, in which it has its own.
      const visible = masked(secrets === undefined ? checked.data : input.args, secrets);
      return answer({ dry_run: true, command: name, args: visible, mode, risk, timeout, capability_id, confirmations });
    }
    if (system.agents.depth().queued >= limits.queuedExecutions)
      return refuse(problem('overloaded', `${limits.queuedExecutions} executions are queued`, { retry_after: 5 }));

    const { session_id, idempotency_key, args, priority, webhook_url = null } = input;
    const consumed = await principalLimits.consume(useOf(command.facts, call, session_id, idempotency_key));
    if (!consumed.ok) return consumed;
    const execution_id = system.newId('execution');
    const reserved = system.agents.reserve(execution_id);
    const wait = input.wait ?? (command.facts.mode === 'sync' ? SYNC_WAIT : 0);
    const waiter = wait > 0 ? waits.open(execution_id) : null;
    const accepted = await system.ask(
      envelope(call, sessionAddress(session_id), {
        type: 'session.execute',
        caller: call.authority.caller,
        execution_id,
        command: command.facts,
        args,
        timeout_ms: timeout * 1000,
        priority,
        reserved,
        unattended: wait === 0,
        ...along.asked,
        idempotency:
          idempotency_key === undefined
            ? null
            : {
                key: idempotency_key,
                // As it was before there were webhooks, where there is none.
                body_hash: sha256(
                  canonicalJson([
                    command.facts.name,
                    args,
                    timeout,
                    priority,
                    ...(webhook_url === null ? [] : [webhook_url]),
                  ]),
                ),
              },
      }),
    );
    const acceptedId = accepted.ok ? (accepted.body['execution_id'] as ExecutionId) : null;
    const question = accepted.ok ? accepted.body['coordination_id'] : undefined;
    // What has to be confirmed first has no place meanwhile.
    if (question !== undefined) system.agents.release(execution_id);
    if (acceptedId === execution_id) consumed.accepted();
    else {
      consumed.refund();
      system.agents.release(execution_id);
      waiter?.cancel();
      return accepted.ok ? answerKnown(acceptedId as ExecutionId, wait, call) : accepted;
    }
    if (waiter === null) return answer({ ...pendingView(execution_id, question), ...along.shown });
    // It is accepted whatever comes now, so where there is no place to wait it goes on as an async one.
    const waited = await waitFor(context, call, waiter, wait);
    const view = waited.ok && waited.json !== null ? endedView(waited.json) : pendingView(execution_id, question);
    return answer({ ...view, ...along.shown });
  };

  /** Those of one caller for the same reason are one record a second, with their count. */
  const recordRefusal = ({ name, risk }: CommandFacts, { code, reason }: Problem, call: Call): void => {
    const { caller, session } = call.authority;
    audit.merge(
      {
        type: 'command_refused',
        at: system.now(),
        session_id: session.session_id,
        ...caller,
        data: { command: name, risk, code, ...(reason === undefined ? {} : { reason }) },
      },
      JSON.stringify([session.session_id, caller, name, code, reason]),
    );
  };

  const executeNamed: Handlers['commands.execute'] = async (input, call) => {
    const command = commands.get(input.command);
    if (command === undefined) return refuse(problem('unknown_command', 'there is no such command'));
    const result = await execute(command, input, call);
    // What was accepted is recorded with the acceptance.
    if (!result.ok && command.facts.audit && !input.dry_run) recordRefusal(command.facts, result.problem, call);
    return result;
  };

  return {
    'commands.list': async (_, { identity, authority }) => {
      const at = system.now();
      const allowed = [...commands.values()].filter(
        (command) => coveredBy(identity, authority, needOf(command.facts), at).ok,
      );
      return answer({ items: allowed.map(({ facts: { name } }) => descriptions.get(name)), next: null });
    },

    'commands.execute': executeNamed,

    'exports.create': ({ format, types, after, until, ...input }, call) => {
      // Absent stays absent: the arguments are what an idempotency key stands for.
      const args = Object.fromEntries(
        Object.entries({ format, types, after, until }).filter(([, value]) => value !== undefined),
      );
      return executeNamed({ ...input, command: EXPORT, args }, call);
    },
  };
};
