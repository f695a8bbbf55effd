import { sessionAddress } from '../../machines/address.ts';
import type { Need } from '../../machines/capability.ts';
import type { CommandFacts } from '../../machines/command.ts';
import { problem, type Problem } from '../../machines/error.ts';
import type { ExecutionId } from '../../machines/id.ts';
import { describeCommand } from '../commands/describe-command.ts';
import { coveredBy } from './authorise.ts';
import { answer, refuse, type Call, type CallResult, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';
import { canonicalJson, invalidInput, isDeeperThan } from './input.ts';
import { waitFor } from './long-poll.ts';
import { sha256 } from './secrets.ts';
import { endedView, endedViewOf, pendingView } from './views.ts';

/** Seconds for which a call of a sync command waits unless it says otherwise (contract, section 2). */
const SYNC_WAIT = 30;

/** Levels of arrays and objects in the arguments of a command. */
const MAX_DEPTH = 64;

const tooDeep = (): Problem =>
  problem('invalid_input', 'not as expected: args', {
    errors: [{ field: 'args', expected: `at most ${MAX_DEPTH} levels` }],
  });

export const needOf = ({ name, operation, resource }: CommandFacts): Need => ({ name, operation, resource });

export const commandHandlers = (context: GatewayContext): Pick<Handlers, 'commands.list' | 'commands.execute'> => {
  const { system, waits, facts, commands, limits } = context;
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

  return {
    'commands.list': async (_, { identity, authority }) => {
      const allowed = [...commands.values()].filter(
        (command) => coveredBy(identity, authority, needOf(command.facts)).ok,
      );
      return answer({ items: allowed.map(({ facts: { name } }) => descriptions.get(name)), next: null });
    },

    'commands.execute': async (input, call) => {
      const command = commands.get(input.command);
      if (command === undefined) return refuse(problem('unknown_command', 'there is no such command'));
      const covered = coveredBy(call.identity, call.authority, needOf(command.facts));
      if (!covered.ok) return covered;
      if (isDeeperThan(input.args, MAX_DEPTH)) return refuse(tooDeep());
      const checked = await command.args.safeParseAsync(input.args);
      if (!checked.success) return refuse(invalidInput(checked.error, ['args']));
      const timeout = input.timeout ?? command.facts.timeout;
      if (input.dry_run) {
        const { name, mode, risk } = command.facts;
        const capability_id = covered.capability.id;
        return answer({ dry_run: true, command: name, args: checked.data, mode, risk, timeout, capability_id });
      }
      if (system.agents.depth().queued >= limits.queuedExecutions)
        return refuse(problem('overloaded', `${limits.queuedExecutions} executions are queued`, { retry_after: 5 }));

      const { session_id, idempotency_key, args, priority } = input;
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
          idempotency:
            idempotency_key === undefined
              ? null
              : {
                  key: idempotency_key,
                  body_hash: sha256(canonicalJson([command.facts.name, args, timeout, priority])),
                },
        }),
      );
      const acceptedId = accepted.ok ? (accepted.body['execution_id'] as ExecutionId) : null;
      if (acceptedId !== execution_id) {
        system.agents.release(execution_id);
        waiter?.cancel();
        return accepted.ok ? answerKnown(acceptedId as ExecutionId, wait, call) : accepted;
      }
      if (waiter === null) return answer(pendingView(execution_id));
      // It is accepted whatever comes now, so where there is no place to wait it goes on as an async one.
      const waited = await waitFor(context, call, waiter, wait);
      return answer(waited.ok && waited.json !== null ? endedView(waited.json) : pendingView(execution_id));
    },
  };
};
