import type { Capability, Need } from './capability.ts';
import { charge, release } from './charge.ts';
import { refusal, reply } from './convention.ts';
import { decide, rootCapability } from './decision.ts';
import type { Effect } from './effect.ts';
import type { CommandFacts } from './command.ts';
import { ID_PREFIXES } from './id.ts';
import type { CapabilityId, CoordinationId, ExecutionId } from './id.ts';
import { masked } from './mask.ts';
import type { Caller } from './message.ts';
import { DEFAULT_QUESTION_TIMEOUT } from './question-limits.ts';
import type { Question } from './question.ts';
import { isFull, opening, tooMany } from './session-coordinations.ts';
import { SESSION_LIMITS, WRITE, findCapability, standing, touched } from './session-context.ts';
import type { SessionContext } from './session-context.ts';
import { answered, forbid, toExecution } from './session-effects.ts';
import type { Now, Of } from './session-effects.ts';
import { addWebhook, endWebhooksOf, hasWebhook } from './session-webhooks.ts';

/**
 * What an idempotency key is remembered under: the same key of another principal is another key. The host looks `known`
 * up with this function before it hands a `session.execute` to the machine.
 */
export const idempotencyKey = (principal: string, key: string): string =>
  `idempotency ${JSON.stringify([principal, key])}`;

/** The same for a message as it arrives; null for one that remembers nothing. */
export const recallKey = (message: { readonly type: string }): string | null => {
  if (message.type !== 'session.execute') return null;
  const { caller, idempotency } = message as Of<'session.execute'>;
  return idempotency === null ? null : idempotencyKey(caller.principal, idempotency.key);
};

const heldBy = (context: SessionContext, { client_id }: Caller, resource: Need['resource']): readonly Capability[] =>
  client_id === null ? [rootCapability(context, resource)] : (context.clients[client_id]?.capabilities ?? []);

/**
 * The capabilities among which step 8 chooses, once those are gone whose demands this call does not meet (step 7); or why
 * none is left.
 */
const meeting = (
  context: SessionContext,
  covering: readonly Capability[],
  { unattended, webhook }: Of<'session.execute'>,
): readonly Capability[] | Effect => {
  const isCarriedOut = !unattended || webhook !== undefined || hasWebhook(context);
  const met = covering.filter(({ constraints }) => isCarriedOut || constraints.require_webhook !== true);
  return met.length > 0
    ? met
    : refusal('webhook_required', 'wait for the end, name a webhook_url, or register a webhook');
};

/** Longer arguments are not in the question, but in the execution that it names. */
const SHOWN_ARGS = 16 * 1024;

/** What voters are shown of a command that is to start: everything but its secrets. */
const detailsOf = ({ name, risk, secrets }: CommandFacts, args: unknown): unknown => {
  const shown = masked(args, secrets);
  const isShort = (JSON.stringify(shown) ?? '').length <= SHOWN_ARGS;
  return { command: name, risk, ...(isShort ? { args: shown } : { args_omitted: true }) };
};

/** One execution asks at most one question before it starts: its id names both. */
const coordinationOf = (id: ExecutionId): CoordinationId =>
  `${ID_PREFIXES.coordination}${id.slice(ID_PREFIXES.execution.length)}` as CoordinationId;

/**
 * What has to be confirmed before the command starts under this capability; null where nothing has to. What the capability
 * demands can be narrowed by the command and not widened: nobody confirms their own.
 */
const questionOf = (
  { name, confirmations: rules }: CommandFacts,
  { constraints: { require_confirmations: demanded } }: Capability,
): Question | null => {
  if (rules === undefined && demanded === undefined) return null;
  return {
    timeout: DEFAULT_QUESTION_TIMEOUT,
    on_timeout: 'timed_out',
    veto: false,
    distinct: 'principal',
    ...rules,
    required_confirmations: Math.max(rules?.required_confirmations ?? 0, demanded ?? 0),
    requester_may_vote: demanded === undefined && rules?.requester_may_vote === true,
    operation: name,
    description: `May ${name} be run?`,
  };
};

/** The decision of the contract's section 6, steps 4 and 6 to 9, and the bound of the queue; the execution answers. */
export const execute = (context: SessionContext, message: Of<'session.execute'>): Now => {
  const { caller, execution_id, command, args, timeout_ms, priority, reserved, idempotency, known, at } = message;
  const { session_id, executions, counts } = context;
  const answer = (effect: Effect): Now => answered(context, at, effect);

  const { name, operation, resource, risk } = command;
  const decision = decide(heldBy(context, caller, resource), { operation, resource, name, risk }, at);
  if (!decision.allowed) return answer(forbid(decision.reason, `no capability held covers ${operation} of ${name}`));
  if (idempotency !== null && known !== undefined)
    return answer(
      known.body_hash === idempotency.body_hash
        ? reply({ execution_id: known.execution_id, replayed: true })
        : refusal('conflict', 'the idempotency key was used with another body'),
    );
  if (message.webhook !== undefined && !decide(heldBy(context, caller, 'operations'), WRITE, at).allowed)
    return answer(forbid('operation', 'a webhook_url needs write'));
  const candidates = meeting(context, decision.covering, message);
  if ('type' in candidates) return answer(candidates);
  if (executions.some(({ id }) => id === execution_id))
    return answer(refusal('conflict', 'the execution is there already'));
  if (!reserved && counts.queued >= SESSION_LIMITS.queued)
    return answer(refusal('overloaded', `${counts.queued} executions of this session are queued`, { retry_after: 1 }));
  const added = addWebhook(context, message.webhook, caller, execution_id);
  if ('type' in added) return answer(added);
  const charged = charge(context.ledger, candidates, (id) => findCapability(context, id), at);
  if (!charged.ok) return answer({ type: 'reply', answer: charged });

  const capability_id = charged.capability.id as CapabilityId;
  const question = questionOf(command, charged.capability);
  if (question !== null && isFull(context)) return answer(tooMany());
  const confirmation = coordinationOf(execution_id);
  const asked =
    question === null
      ? null
      : opening(context, at, {
          coordination_id: confirmation,
          question,
          details: detailsOf(command, args),
          requester: caller,
          execution_id,
        });
  const isReserved = reserved && asked === null;
  const records: readonly Effect[] = command.audit
    ? [{ type: 'audit', audit: 'command_accepted', data: { execution_id, command: name, risk, capability_id } }]
    : [];
  const remember: readonly Effect[] =
    idempotency === null
      ? []
      : [
          {
            type: 'remember',
            key: idempotencyKey(caller.principal, idempotency.key),
            value: { execution_id, body_hash: idempotency.body_hash },
          },
        ];
  return {
    change: touched(context, at, {
      executions: [...executions, { id: execution_id, by: caller.client_id, queued: !isReserved && asked === null }],
      counts: { accepted: counts.accepted + 1, queued: counts.queued + (isReserved || asked !== null ? 0 : 1) },
      ...(asked === null ? {} : { coordinations: asked.coordinations }),
      ledger: charged.ledger,
      webhooks: added.webhooks,
    }),
    effects: [
      ...records,
      ...remember,
      ...added.effects,
      toExecution(
        context,
        execution_id,
        {
          type: 'execution.accept',
          session_id,
          execution_id,
          command,
          args,
          caller,
          timeout_ms,
          priority,
          reserved: isReserved,
          ...(asked === null ? {} : { confirmation }),
          capability_id,
          charged: charged.charged,
          idempotency_key: idempotency?.key ?? null,
        },
        true,
      ),
      ...(asked === null ? [] : [asked.effect]),
    ],
  };
};

/** For who may write, or has started it. The gateway knows that it exists, so what is not live has ended. */
export const cancel = (context: SessionContext, { caller, execution_id, at }: Of<'session.cancel'>): Now => {
  const answer = (effect: Effect): Now => answered(context, at, effect);
  const live = context.executions.find(({ id }) => id === execution_id);
  if (live === undefined) return answer(refusal('conflict', 'the execution has ended'));
  const allowed =
    live.by === caller.client_id ||
    standing(context, caller) === 'owner' ||
    decide(heldBy(context, caller, 'operations'), WRITE, at).allowed;
  if (!allowed) return answer(forbid('operation', 'cancelling needs write, or to have started it'));
  return answer(toExecution(context, execution_id, { type: 'execution.cancel', by: caller }));
};

/** Moves the counts along with an execution; `queued` null where it has ended. */
const counted = ({ executions, counts }: SessionContext, id: ExecutionId, queued: boolean | null): Now => {
  const index = executions.findIndex((live) => live.id === id);
  const live = executions[index];
  if (live === undefined) return {};
  return {
    change: {
      executions: queued === null ? executions.toSpliced(index, 1) : executions.with(index, { ...live, queued }),
      counts: { ...counts, queued: counts.queued - (live.queued ? 1 : 0) + (queued === true ? 1 : 0) },
    },
  };
};

export const changed = (context: SessionContext, { execution_id, queued }: Of<'execution.changed'>): Now =>
  counted(context, execution_id, queued);

/** It ends once, so what it was charged for is released once. */
export const ended = (context: SessionContext, { execution_id, charged }: Of<'execution.ended'>): Now => {
  const { change } = counted(context, execution_id, null);
  if (change === undefined) return {};
  const ending = endWebhooksOf(context, execution_id);
  const next = { ...change, ledger: release(context.ledger, charged) };
  return ending === null
    ? { change: next }
    : { change: { ...next, webhooks: ending.webhooks }, effects: ending.effects };
};
