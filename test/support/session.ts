import { clientAddress, executionAddress, sessionAddress } from '../../machines/address.ts';
import { DEFAULT_GRANTS } from '../../machines/capability.ts';
import type { Capability, ClientType } from '../../machines/capability.ts';
import type { CommandFacts } from '../../machines/command.ts';
import type { Answer } from '../../machines/effect.ts';
import type { ClientId, ExecutionId, SessionId } from '../../machines/id.ts';
import type { Caller, NewClient, SessionMessage } from '../../machines/message.ts';
import type { SessionContext } from '../../machines/session.ts';
import { createRing } from './machine.ts';

export const SESSION: SessionId = 'ses_1';
export const TTL = 7 * 86_400_000;
export const OWNER: Caller = { principal: 'ada', client_id: null };
export const STRANGER: Caller = { principal: 'eve', client_id: null };
export const HASH = 'c0ffee'.repeat(10);

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

export const facts = (more: Partial<CommandFacts> = {}): CommandFacts => ({
  name: 'analyze',
  operation: 'read',
  resource: 'operations',
  risk: 'low',
  mode: 'async',
  timeout: 30,
  max_attempts: 4,
  ...more,
});

type Execute = Extract<SessionMessage, { type: 'session.execute' }>;

/** A session of the principal `ada` with the client `cli_1`, and short ways to ask it. */
export const createSession = () => {
  const ring = createRing();
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
  let drawn = 0;
  return {
    ring,
    ask,
    context: () => ring.actor(to)?.standing().context as SessionContext,
    state: () => ring.actor(to)?.standing().value as string,
    register: (client: NewClient, caller = OWNER) => ask({ type: 'session.register', caller, client }),
    execute: (more: Partial<Execute> = {}) =>
      ask({
        type: 'session.execute',
        caller: OWNER,
        execution_id: `exe_${++drawn}`,
        command: facts(),
        args: {},
        timeout_ms: 30_000,
        priority: 0,
        reserved: true,
        idempotency: null,
        ...more,
      }),
    cancel: (execution_id: ExecutionId, caller = OWNER) => ask({ type: 'session.cancel', caller, execution_id }),
    close: (caller = OWNER) => ask({ type: 'session.close', caller }),
    attach: (id: ClientId) => ring.tell(clientAddress(SESSION, id), { type: 'client.attach' }),
    detach: (id: ClientId) => ring.tell(clientAddress(SESSION, id), { type: 'client.detach' }),
    agent: (id: ExecutionId, message: { type: string }) => ring.tell(executionAddress(SESSION, id), message),
  };
};
