import { NO_WEBHOOKS } from '../../src/gateway/webhook-parts.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { addressKey, sessionAddress } from '../../machines/address.ts';
import { MAX_DEPTH } from '../../machines/descent.ts';
import type { SessionId } from '../../machines/id.ts';
import type { SessionContext } from '../../machines/session-context.ts';
import { eventTopic } from '../../machines/topic.ts';
import { NO_AUDIT } from '../../src/gateway/audit.ts';
import { createCalls } from '../../src/gateway/calls.ts';
import type { CallSource } from '../../src/gateway/call.ts';
import type { GatewayContext } from '../../src/gateway/context.ts';
import { createCuts } from '../../src/gateway/cuts.ts';
import { createFacts } from '../../src/gateway/facts.ts';
import { createFailedLogins } from '../../src/gateway/failed-logins.ts';
import { createEventSource } from '../../src/gateway/http-stream.ts';
import { createApiKey } from '../../src/gateway/keys.ts';
import { DEFAULT_GATEWAY_LIMITS } from '../../src/gateway/limits.ts';
import { createLoginAudit } from '../../src/gateway/login-audit.ts';
import { createMqttAccess } from '../../src/gateway/mqtt-access.ts';
import { createPresence } from '../../src/gateway/presence.ts';
import { createPrincipalLimits, principalRateLimits } from '../../src/gateway/principal-limits.ts';
import { ANONYMOUS, createPrincipals, type Identity } from '../../src/gateway/principals.ts';
import { createRefusals } from '../../src/gateway/refusals.ts';
import { createSlots } from '../../src/gateway/slots.ts';
import type { OpenStream } from '../../src/gateway/streams.ts';
import { createWaits } from '../../src/gateway/waits.ts';
import type { OperationName } from '../../src/operations/table.ts';
import { createTestSystem } from '../support/gateway-system.ts';
import noop from './commands/noop.ts';
import { NEVER_REACHED, ROOMY_GRANTS } from './grants.ts';

const ADDRESS = '127.0.0.1';
/** Of the shares. */
const LIFETIME_S = 86_400;
const onError = (error: unknown): void => {
  throw error;
};

/** Somebody of the stage, with the credentials that a request brings. */
interface Actor {
  readonly token: string;
  readonly identity: Identity;
  readonly source: CallSource;
}

/** The gateway's parts over the ring in memory, as `createGateway` puts them together, and one session to ask about. */
export const createGateStage = async () => {
  const system = createTestSystem();
  const now = (): number => system.now();
  const facts = createFacts(system);
  const cuts = createCuts();
  const context: GatewayContext = {
    system,
    facts,
    cuts,
    waits: createWaits(system),
    slots: createSlots(DEFAULT_GATEWAY_LIMITS.streams),
    presence: createPresence({ system, graceMs: DEFAULT_GATEWAY_LIMITS.graceMs }),
    commands: new Map([[noop.facts.name, noop]]),
    grants: ROOMY_GRANTS,
    limits: DEFAULT_GATEWAY_LIMITS,
    principalLimits: createPrincipalLimits(principalRateLimits(ROOMY_GRANTS), now),
    keys: system.keys,
    audit: NO_AUDIT,
    refusals: createRefusals({ system, audit: NO_AUDIT }),
    webhooks: NO_WEBHOOKS,
    dataDirectory: '/',
  };
  const calls = createCalls(context, onError);
  const logins = createLoginAudit({ audit: NO_AUDIT, now, onError });
  const principals = createPrincipals({ keys: system.keys, facts, cuts, jwt: null, now, onKey: logins.keyUsed });

  const sourceOf = (identity: Identity): CallSource => ({
    identity,
    address: ADDRESS,
    signal: () => new AbortController().signal,
    requestId: system.newId('request'),
  });
  const actorOf = async (token: string): Promise<Actor> => {
    const identity = await principals.authenticate(token, ADDRESS);
    if (identity === null) throw new Error('the credentials are not believed');
    return { token, identity, source: sourceOf(identity) };
  };
  const call = async (name: OperationName, input: object, identity: Identity): Promise<Record<string, string>> => {
    const result = await calls.call(name, input, sourceOf(identity));
    if (!result.ok) throw new Error(`${name}: ${result.problem.detail}`);
    return ('body' in result ? result.body : {}) as Record<string, string>;
  };

  const { key, stored } = createApiKey({ principal: 'owner', operator: false, now: now() });
  await system.keys.put(stored);
  const owner = await actorOf(key);
  const opened = await call('sessions.create', { client: { type: 'cli' } }, owner.identity);
  const session_id = opened['session_id'] as SessionId;
  const client = await actorOf(opened['client_token'] as string);

  /** Somebody who joins by a share of another, narrower by a budget and a lifetime. */
  const guestOf = async ({ identity }: Actor): Promise<Actor> => {
    const depth = identity.kind === 'client' ? (identity.client.capabilities[0]?.depth ?? 0) : 0;
    const constraints = {
      rate_limit: NEVER_REACHED,
      max_operations: NEVER_REACHED,
      expires_in: LIFETIME_S - depth * 60,
      ...(depth < MAX_DEPTH - 1 ? { may_share: true } : {}),
    };
    const { token } = await call('shares.create', { session_id, operations: ['read', 'write'], constraints }, identity);
    const joined = await call('sessions.join', { token, client: { type: 'web' } }, ANONYMOUS);
    return actorOf(joined['client_token'] as string);
  };
  const guest = await guestOf(await guestOf(await guestOf(owner)));

  const access = createMqttAccess();
  access.bind({
    principals,
    facts,
    cuts,
    now,
    failedLogins: createFailedLogins(DEFAULT_GATEWAY_LIMITS.failedLogins, now),
    live: { initial: async () => [], take: () => {}, close: () => {} },
    rpc: { take: () => {} },
    signalOf: () => new AbortController().signal,
    connected: () => {},
    disconnected: () => {},
    onFailedLogin: () => {},
    onOperatorSubscribe: async () => {},
    onRefused: () => {},
  });

  /** Whether a delivery of an event of the session is allowed to who has logged in over MQTT with these credentials. */
  const mqttDelivery = async ({ token, identity }: Actor): Promise<() => boolean> => {
    if (identity.kind !== 'client') throw new Error('clients only');
    const { client_id } = identity.client;
    const password = Buffer.from(token);
    const login = { clientId: client_id, username: client_id, password, will: undefined, remote: `${ADDRESS}:1` };
    const verdict = await access.policy.connect(login);
    if (!verdict.ok) throw new Error(`the login was refused with ${verdict.code}`);
    const connection = { clientId: client_id, username: client_id, remote: login.remote, tag: verdict.tag };
    const topic = eventTopic(session_id, 'execution_completed', system.newId('execution'));
    return () => access.policy.deliver(connection, topic);
  };

  /** Gives the next event to a stream over HTTP whose connection takes everything and does nothing; how many it took. */
  const sseDelivery = async ({ source }: Actor): Promise<{ deliver: () => void; taken: () => number }> => {
    let stream: OpenStream | null = null as OpenStream | null;
    let taken = 0;
    const raw = {
      writeHead: () => {},
      write: () => void (taken += 1),
      end: () => {},
      once: () => raw,
      off: () => raw,
      destroyed: false,
      writableNeedDrain: false,
    };
    const handle = createEventSource({
      context,
      calls,
      streams: {
        open: (_, open) => {
          stream = open;
          return () => {};
        },
        close: () => {},
      },
      isAlive: async () => true,
      onCut: () => {},
      onError,
    });
    const { last } = await system.reads.events(session_id, { after: Number.MAX_SAFE_INTEGER, limit: 1 });
    const reply = { hijack: () => {}, getHeaders: () => ({}), raw } as unknown as FastifyReply;
    await handle({ headers: {} } as FastifyRequest, reply, { session_id, after: last }, source);
    if (stream === null) throw new Error('the stream was refused');
    // It reads once what it has missed, which is nothing.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { events } = stream;
    let seq = last;
    const subject = system.newId('execution');
    const json = JSON.stringify({ id: system.newId('event'), seq, session_id, type: 'execution_completed', data: {} });
    return {
      deliver: () => events.take({ session: session_id, seq: (seq += 1), type: 'execution_completed', subject, json }),
      taken: () => taken,
    };
  };

  return {
    system,
    facts,
    calls,
    principals,
    principalLimits: context.principalLimits,
    address: ADDRESS,
    session_id,
    owner,
    client,
    guest,
    guestOf,
    mqttDelivery,
    sseDelivery,
    sessionContext: async (): Promise<SessionContext> => {
      const session = await system.reads.actor(addressKey(sessionAddress(session_id)));
      return session?.context as unknown as SessionContext;
    },
    /** How many events one execution of `noop` makes that nobody has to wait for. */
    eventsOfExecution: async (): Promise<number> => {
      const before = await system.reads.events(session_id, { after: Number.MAX_SAFE_INTEGER, limit: 1 });
      const { execution_id } = await call(
        'commands.execute',
        { session_id, command: 'noop', args: {}, wait: 0 },
        client.identity,
      );
      await new Promise((resolve) => setTimeout(resolve, 50));
      system.complete(execution_id as string, { ok: true });
      const after = await system.reads.events(session_id, { after: Number.MAX_SAFE_INTEGER, limit: 1 });
      return after.last - before.last;
    },
  };
};
