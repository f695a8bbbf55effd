import { clientAddress, executionAddress } from './address.ts';
import type { Capability, Need } from './capability.ts';
import { event, refusal, reply, send } from './convention.ts';
import type { Step } from './convention.ts';
import { decide, rootCapability } from './decision.ts';
import type { Effect } from './effect.ts';
import type { CapabilityId, ClientId, ExecutionId } from './id.ts';
import type { Caller, ClientMessage, DeadlineMessage, ExecutionMessage, NewClient } from './message.ts';
import type { SessionMessage, Taken } from './message.ts';
import { SESSION_LIMITS, expiry, standing, touched, withoutClient } from './session-context.ts';
import type { SessionClient, SessionContext } from './session-context.ts';

export type Incoming = (SessionMessage | DeadlineMessage) & Taken;
export type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
type Now = Step<SessionContext>;

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

const toClient = (context: SessionContext, id: ClientId, message: ClientMessage, fresh = false): Effect =>
  send(clientAddress(context.session_id, id), message, fresh);

const toExecution = (context: SessionContext, id: ExecutionId, message: ExecutionMessage, fresh = false): Effect =>
  send(executionAddress(context.session_id, id), message, fresh);

const fact = (
  { session_id }: SessionContext,
  type: 'opened' | 'suspended' | 'resumed' | 'closed' | 'expired',
  data: Record<string, unknown> = {},
): Effect => event(`session_${type}`, session_id, { session_id, ...data });

const forbid = (reason: string, detail: string): Effect => refusal('security_violation', detail, { reason });

const heldBy = (context: SessionContext, { client_id }: Caller, resource: Need['resource']): readonly Capability[] =>
  client_id === null ? [rootCapability(context, resource)] : (context.clients[client_id]?.capabilities ?? []);

const joined = ({ type, name, principal, capabilities }: NewClient): SessionClient => ({
  type,
  name,
  principal,
  capabilities,
  attached: false,
});

const welcome = ({ session_id }: SessionContext, { client_id, capabilities }: NewClient): Effect =>
  reply({ session_id, client_id, capabilities });

export const open = (blank: SessionContext, message: Of<'session.open'>): Now => {
  const { session_id, owner, root_capability_id, ttl_ms, client, at } = message;
  const opened: Partial<SessionContext> = {
    session_id,
    owner,
    root_capability_id,
    ttl_ms,
    label: owner,
    opened_at: at,
    clients: { [client.client_id]: joined(client) },
  };
  const context = { ...blank, ...opened };
  return {
    change: touched(context, at, opened),
    effects: [
      fact(context, 'opened', { owner, ttl_ms }),
      toClient(context, client.client_id, { type: 'client.open', session_id, client }, true),
      welcome(context, client),
    ],
  };
};

export const register = (context: SessionContext, { caller, client, at }: Of<'session.register'>): Now => {
  const change = touched(context, at);
  const refuse = (effect: Effect): Now => ({ change, effects: [effect] });
  const { session_id, clients } = context;
  if (standing(context, caller) !== 'owner') return refuse(forbid('owner', 'only the owner registers clients'));
  if (clients[client.client_id] !== undefined) return refuse(refusal('conflict', 'the client is there already'));
  if (Object.keys(clients).length >= SESSION_LIMITS.clients)
    return refuse(refusal('conflict', `a session has at most ${SESSION_LIMITS.clients} clients`));
  return {
    change: touched(context, at, { clients: { ...clients, [client.client_id]: joined(client) } }),
    effects: [
      toClient(context, client.client_id, { type: 'client.open', session_id, client }, true),
      welcome(context, client),
    ],
  };
};

/** Forgets the client at once; its own actor answers. */
export const leave = (context: SessionContext, { caller, client_id, at }: Of<'session.leave'>): Now => {
  const refuse = (effect: Effect): Now => ({ change: touched(context, at), effects: [effect] });
  if (context.clients[client_id] === undefined) return refuse(refusal('not_found', 'there is no such client'));
  if (standing(context, caller) !== 'owner' && caller.client_id !== client_id)
    return refuse(forbid('owner', 'only the owner makes others leave'));
  return {
    change: touched(context, at, { clients: withoutClient(context.clients, client_id) }),
    effects: [toClient(context, client_id, { type: 'client.leave' })],
  };
};

/** The decision of the contract's section 6, steps 4 and 6, and the bound of the queue; the execution answers. */
export const execute = (context: SessionContext, message: Of<'session.execute'>): Now => {
  const { caller, execution_id, command, args, timeout_ms, priority, reserved, idempotency, known, at } = message;
  const { session_id, executions, counts } = context;
  const answer = (effect: Effect): Now => ({ change: touched(context, at), effects: [effect] });

  const need: Need = { operation: command.operation, resource: command.resource, name: command.name };
  const decision = decide(heldBy(context, caller, command.resource), need);
  if (!decision.allowed)
    return answer(forbid(decision.reason, `no capability held covers ${command.operation} of ${command.name}`));
  if (idempotency !== null && known !== undefined)
    return answer(
      known.body_hash === idempotency.body_hash
        ? reply({ execution_id: known.execution_id, replayed: true })
        : refusal('conflict', 'the idempotency key was used with another body'),
    );
  if (executions.some(({ id }) => id === execution_id))
    return answer(refusal('conflict', 'the execution is there already'));
  if (!reserved && counts.queued >= SESSION_LIMITS.queued)
    return answer(refusal('overloaded', `${counts.queued} executions of this session are queued`, { retry_after: 1 }));

  const accept: ExecutionMessage = {
    type: 'execution.accept',
    session_id,
    execution_id,
    command,
    args,
    caller,
    timeout_ms,
    priority,
    reserved,
    capability_id: decision.capability.id as CapabilityId,
    idempotency_key: idempotency?.key ?? null,
  };
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
      executions: [...executions, { id: execution_id, by: caller.client_id, queued: !reserved }],
      counts: { accepted: counts.accepted + 1, queued: counts.queued + (reserved ? 0 : 1) },
    }),
    effects: [...remember, toExecution(context, execution_id, accept, true)],
  };
};

const WRITE: Need = { operation: 'write', resource: 'operations', name: null };

/** For who may write, or has started it. The gateway knows that it exists, so what is not live has ended. */
export const cancel = (context: SessionContext, { caller, execution_id, at }: Of<'session.cancel'>): Now => {
  const answer = (effect: Effect): Now => ({ change: touched(context, at), effects: [effect] });
  const live = context.executions.find(({ id }) => id === execution_id);
  if (live === undefined) return answer(refusal('conflict', 'the execution has ended'));
  const allowed =
    live.by === caller.client_id ||
    standing(context, caller) === 'owner' ||
    decide(heldBy(context, caller, 'operations'), WRITE).allowed;
  if (!allowed) return answer(forbid('operation', 'cancelling needs write, or to have started it'));
  return answer(toExecution(context, execution_id, { type: 'execution.cancel', by: caller }));
};

/** From here on nothing new is accepted; what runs is cancelled and given a time to end. */
const drain = (context: SessionContext, at: number, ending: 'closed' | 'expired'): Required<Now> => ({
  change: { ending, deadline: at + SESSION_LIMITS.drain_ms },
  effects: context.executions.map(({ id }) => toExecution(context, id, { type: 'execution.cancel', by: null })),
});

export const close = (context: SessionContext, { at }: Of<'session.close'>): Now => {
  const { session_id, executions } = context;
  const { change, effects } = drain(context, at, 'closed');
  const status = executions.length === 0 ? 'closed' : 'draining';
  return { change: { ...change, last_active_at: at }, effects: [reply({ session_id, status }), ...effects] };
};

export const expire = (context: SessionContext, { at }: Of<'deadline'>): Now => drain(context, at, 'expired');

/** Closing twice is closing once. */
export const closeAgain = ({ session_id }: SessionContext): Now => ({
  effects: [reply({ session_id, status: 'draining' })],
});

export const refuseClose = (): Now => ({ effects: [forbid('owner', 'only the owner closes the session')] });

const cutAll = (context: SessionContext): readonly Effect[] =>
  (Object.keys(context.clients) as ClientId[]).flatMap((id) => [
    { type: 'cut', client_id: id },
    toClient(context, id, { type: 'client.leave', reason: 'session_ended' }),
  ]);

/** The actor itself was given up: nothing of the session goes on without it. */
export const sessionFailure = (context: SessionContext, at: number): readonly Effect[] => [
  ...drain(context, at, 'closed').effects,
  ...cutAll(context),
];

/** The event goes out first, so that clients hear why they are cut. */
export const finish = (context: SessionContext, { at }: Incoming): Now => {
  return {
    change: { closed_at: at, deadline: null, clients: {}, executions: [], counts: { ...context.counts, queued: 0 } },
    effects: [fact(context, context.ending ?? 'closed', { executions: context.counts.accepted }), ...cutAll(context)],
  };
};

export const suspend = (context: SessionContext): Now => ({
  change: { deadline: expiry(context) },
  effects: [fact(context, 'suspended')],
});

export const resume = (context: SessionContext, { at }: Incoming): Now => ({
  change: touched(context, at),
  effects: [fact(context, 'resumed')],
});

export const presence = (context: SessionContext, { client_id, attached, at }: Of<'client.presence'>): Now => {
  const client = context.clients[client_id];
  if (client === undefined) return {};
  return { change: touched(context, at, { clients: { ...context.clients, [client_id]: { ...client, attached } } }) };
};

export const forget = ({ clients }: SessionContext, { client_id }: Of<'client.gone'>): Now =>
  clients[client_id] === undefined ? {} : { change: { clients: withoutClient(clients, client_id) } };

/** The grace time of a session that nobody is attached to any more starts now. */
export const gone = (context: SessionContext, message: Of<'client.gone'>): Now => {
  const { change } = forget(context, message);
  return change === undefined ? {} : { change: touched(context, message.at, change) };
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

export const ended = (context: SessionContext, { execution_id }: Of<'execution.ended'>): Now =>
  counted(context, execution_id, null);

/** A request that this state has no other answer for. */
export const refuse = (context: SessionContext): Now => ({
  effects: [
    context.opened_at === null
      ? refusal('not_found', 'there is no such session')
      : refusal('conflict', context.ending === null ? 'the session is open' : 'the session is closing'),
  ],
});

/** A client that has left has no credentials any more; anybody else never was in sight of this session. */
export const refuseOutsider = (_: SessionContext, { caller }: { readonly caller: Caller }): Now => ({
  effects: [
    caller.client_id === null
      ? refusal('not_found', 'there is no such session')
      : refusal('unauthenticated', 'the client is not in the session'),
  ],
});
