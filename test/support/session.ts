import { clientAddress, executionAddress, sessionAddress } from '../../machines/address.ts';
import type { Attenuation } from '../../machines/attenuate.ts';
import { DEFAULT_GRANTS } from '../../machines/capability.ts';
import type { Capability, ClientType } from '../../machines/capability.ts';
import type { CommandFacts } from '../../machines/command.ts';
import type { Answer } from '../../machines/effect.ts';
import type { CapabilityId, ClientId, ExecutionId, SessionId, ShareId } from '../../machines/id.ts';
import type { Caller, NewClient, SessionMessage } from '../../machines/message.ts';
import type { SessionContext } from '../../machines/session.ts';
import type { NewWebhook } from '../../machines/webhook-message.ts';
import { createRing } from './machine.ts';

export const SESSION: SessionId = 'ses_1';
export const TTL = 7 * 86_400_000;
export const OWNER: Caller = { principal: 'ada', client_id: null };
export const STRANGER: Caller = { principal: 'eve', client_id: null };
export const HASH = 'c0ffee'.repeat(10);
export const SHARE_HASH = 'decade'.repeat(10);

export const capabilities = (id: string, type: ClientType, principal: string): Capability[] =>
  DEFAULT_GRANTS[type].map((grant, index) => ({
    ...grant,
    id: `cap_${id}_${index}`,
    principal,
    session_id: SESSION,
    parent_id: 'cap_root',
    depth: 1,
    issued_at: '2026-01-01T00:00:00.000Z',
  }));

export const newClient = (id: string, type: ClientType = 'cli', principal = 'ada'): NewClient => ({
  client_id: `cli_${id}`,
  type,
  name: null,
  principal,
  token_hash: HASH,
  capabilities: capabilities(id, type, principal),
});

export const newWebhook = (id: string): NewWebhook => ({
  webhook_id: `whk_${id}`,
  url: `https://hooks.example/${id}`,
  types: null,
  sealed: 'sealed',
});

export const facts = (more: Partial<CommandFacts> = {}): CommandFacts => ({
  name: 'analyze',
  operation: 'read',
  resource: 'operations',
  risk: 'low',
  audit: false,
  mode: 'async',
  timeout: 30,
  max_attempts: 4,
  ...more,
});

type Execute = Extract<SessionMessage, { type: 'session.execute' }>;

export const code = (answer: Answer): string => (answer.ok ? 'ok' : answer.problem.code);
export const reason = (answer: Answer): string | undefined => (answer.ok ? 'ok' : answer.problem.reason);
export const body = (answer: Answer): Record<string, unknown> => {
  if (!answer.ok) throw new Error(JSON.stringify(answer.problem));
  return answer.body;
};
export const names = (events: readonly { event: string }[]) => events.map(({ event }) => event);

/** A client with one capability, of the session's root unless it says otherwise. */
export const newMember = (id: string, principal: string, more: Partial<Capability> = {}): NewClient => {
  const client = newClient(id, 'api', principal);
  const [granted] = client.capabilities;
  return { ...client, capabilities: [{ ...(granted as Capability), constraints: {}, ...more }] };
};

export interface Shared extends Attenuation {
  /** Of the share; drawn unless it is given. */
  readonly id?: string;
  readonly caller?: Caller;
  readonly label?: string | null;
}

interface Joined {
  readonly type?: ClientType;
  readonly principal?: string;
}

/** A session of the principal `ada` with the client `cli_1`, and short ways to ask it. */
export const createSession = (random?: () => number) => {
  const ring = createRing(random);
  const to = sessionAddress(SESSION);
  const ask = (message: SessionMessage): Answer => ring.ask(to, message);
  ring.ask(
    to,
    {
      type: 'session.open',
      session_id: SESSION,
      owner: 'ada',
      ttl_ms: TTL,
      root_capability_id: 'cap_root',
      client: newClient('1'),
    } as { type: string },
    true,
  );
  const drawn = { executions: 0, shares: 0 };
  const context = () => ring.actor(to)?.standing().context as SessionContext;
  return {
    ring,
    ask,
    context,
    state: () => ring.actor(to)?.standing().value as string,
    isOver: () => ring.actor(to)?.done() === true,
    register: (client: NewClient, caller = OWNER) => ask({ type: 'session.register', caller, client }),
    leave: (client_id: ClientId, caller = OWNER) => ask({ type: 'session.leave', caller, client_id }),
    /** As whom this client asks while it is there. */
    as: (client_id: ClientId): Caller => ({
      principal: context().clients[client_id]?.principal ?? 'nobody',
      client_id,
    }),
    execute: (more: Partial<Execute> = {}) =>
      ask({
        type: 'session.execute',
        caller: OWNER,
        execution_id: `exe_${++drawn.executions}`,
        command: facts(),
        args: {},
        timeout_ms: 30_000,
        priority: 0,
        reserved: true,
        unattended: false,
        idempotency: null,
        ...more,
      }),
    cancel: (execution_id: ExecutionId, caller = OWNER) => ask({ type: 'session.cancel', caller, execution_id }),
    close: (caller = OWNER) => ask({ type: 'session.close', caller }),
    /** The share `shr_<id>` with the capability `cap_<id>`. */
    share: ({ id = `s${++drawn.shares}`, caller = OWNER, label = null, ...asked }: Shared = {}) =>
      ask({
        type: 'session.share',
        caller,
        share: { share_id: `shr_${id}`, capability_id: `cap_${id}`, token_hash: SHARE_HASH, label, asked },
      }),
    unshare: (share_id: ShareId, caller = OWNER) => ask({ type: 'session.unshare', caller, share_id }),
    join: (share_id: ShareId, id: string, { type = 'web', principal = `share:${share_id}` }: Joined = {}) =>
      ask({
        type: 'session.join',
        share_id,
        client: { ...newClient(id, type, principal), capabilities: [] },
      }),
    revoke: (capability_id: string, caller = OWNER) =>
      ask({ type: 'session.revoke', caller, capability_id: capability_id as CapabilityId }),
    /** The webhook `whk_<id>`. */
    webhook: (id: string, { caller = OWNER, ...more }: Partial<NewWebhook> & { readonly caller?: Caller } = {}) =>
      ask({ type: 'session.webhook', caller, webhook: { ...newWebhook(id), ...more } }),
    violated: (caller: Caller, count = 1) =>
      ring.tell(to, { type: 'session.violated', caller, operation: 'events.list', reason: 'operation', count } as {
        type: string;
      }),
    attach: (id: ClientId) => ring.tell(clientAddress(SESSION, id), { type: 'client.attach' }),
    detach: (id: ClientId) => ring.tell(clientAddress(SESSION, id), { type: 'client.detach' }),
    agent: (id: ExecutionId, message: { type: string }) => ring.tell(executionAddress(SESSION, id), message),
    /** As if its shard's messages to it were lost: it never ends by itself. */
    lose: (id: ExecutionId) => {
      const actor = ring.actor(executionAddress(SESSION, id));
      if (actor === undefined) throw new Error(`there is no ${id}`);
      actor.take = () => [];
    },
    complete: (id: ExecutionId, start = 1) =>
      ring.tell(executionAddress(SESSION, id), {
        type: 'execution.complete',
        start,
        result: 1,
        artifacts: [],
      } as { type: string }),
  };
};
export type TestSession = ReturnType<typeof createSession>;

export const present = ({ context }: TestSession): string[] => Object.keys(context().clients).toSorted();

export const executionState = ({ ring }: TestSession, id: ExecutionId): string | undefined =>
  ring.actor(executionAddress(SESSION, id))?.standing().value;

/** What the events of this type say, in order. */
export const told = ({ ring }: TestSession, event: string): Record<string, unknown>[] =>
  ring.events.filter((each) => each.event === event).map(({ data }) => data);

/** Events and cuts from here on, in order. */
export const saidFrom = ({ ring }: TestSession, from: number): string[] =>
  ring.log.slice(from).flatMap(({ effect }) => {
    if (effect.type === 'event') return [`${effect.event} ${effect.subject}`];
    return effect.type === 'cut' ? [`cut ${effect.client_id}`] : [];
  });
