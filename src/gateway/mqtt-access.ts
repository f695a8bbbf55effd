import type { AccessPolicy, ConnectFacts, Connection, ConnectVerdict } from '../../brokers/access.ts';
import {
  canTopic,
  eventFilter,
  filterCovers,
  repliesTopic,
  requestsTopic,
  ROOT,
  stateTopic,
} from '../../machines/topic.ts';
import { mayRead } from './authorise.ts';
import type { FailedLogins } from './failed-logins.ts';
import type { LiveTopics } from './mqtt-live.ts';
import type { ClientIdentity, MqttRpc } from './mqtt-rpc.ts';
import type { Identity, Principals } from './principals.ts';

/** What is known of a connection: whose it is, and the topics it may hear. */
export type MqttTag =
  | {
      readonly kind: 'client';
      readonly identity: ClientIdentity;
      /** Rights as filters (contract, section 3): what a subscription must lie within. */
      readonly rights: readonly string[];
      readonly eventPrefix: string | null;
      readonly exact: ReadonlySet<string>;
      readonly requests: string;
      readonly replies: string;
      /** Set when the client is cut: nothing more is delivered but the reply to the call that it may have caused. */
      cut: boolean;
    }
  | { readonly kind: 'operator'; readonly principal: string };

export interface MqttAccessParts {
  readonly principals: Principals;
  readonly failedLogins: FailedLogins;
  readonly live: LiveTopics;
  readonly rpc: MqttRpc;
  readonly onFailedLogin: () => void;
  readonly onOperatorSubscribe: (principal: string, filter: string) => void;
  /** The signal that ends the waiting of a client's requests. */
  readonly signalOf: (connection: Connection<MqttTag>) => AbortSignal;
  readonly connected: (connection: Connection<MqttTag>) => void;
  readonly disconnected: (connection: Connection<MqttTag>) => void;
}

/**
 * The access policy of the broker. The broker is there before the system that it carries, and the gateway after both:
 * until `bind` every login is answered that the server is unavailable.
 */
export interface MqttAccess {
  readonly policy: AccessPolicy<MqttTag>;
  bind(parts: MqttAccessParts): void;
}

/** CONNACK's return codes (MQTT 3.1.1, table 3.1). */
const UNAVAILABLE = 3;
const NOT_AUTHORIZED = 5;

const OPERATOR_RIGHTS = [`${ROOT}/actors/#`, `${ROOT}/inspect/#`];
const OPERATOR_PREFIXES = [`${ROOT}/actors/`, `${ROOT}/inspect/`];

const clientTag = (identity: ClientIdentity): MqttTag => {
  const { session_id, client_id } = identity.client;
  const reads = mayRead(identity, session_id);
  const own = [canTopic(session_id, client_id), repliesTopic(session_id, client_id)];
  const exact = reads ? [...own, stateTopic(session_id)] : own;
  const events = eventFilter(session_id);
  return {
    kind: 'client',
    identity,
    rights: reads ? [...exact, events] : exact,
    eventPrefix: reads ? events.slice(0, -1) : null,
    exact: new Set(exact),
    requests: requestsTopic(session_id, client_id),
    replies: repliesTopic(session_id, client_id),
    cut: false,
  };
};

/** Whether a login says the same in all of its fields (contract, section 3). Null where it does not. */
const tagOf = ({ clientId, username }: ConnectFacts, identity: Identity): MqttTag | null => {
  if (identity.kind === 'client') {
    const { client_id } = identity.client;
    const isOwn = clientId === client_id || clientId.startsWith(`${client_id}:`);
    return isOwn && username === client_id ? clientTag(identity) : null;
  }
  const isOperator = identity.operator && clientId.startsWith('op:') && username === identity.principal;
  return isOperator ? { kind: 'operator', principal: identity.principal } : null;
};

/** The address without the port, which is another one with every connection: as the HTTP binding counts it. */
const addressOf = ({ remote }: ConnectFacts): string => remote.replace(/:\d+$/, '');

export const createMqttAccess = (): MqttAccess => {
  let parts: MqttAccessParts | null = null;

  const login = async (
    facts: ConnectFacts,
    { principals, failedLogins, onFailedLogin }: MqttAccessParts,
  ): Promise<ConnectVerdict<MqttTag>> => {
    const password = facts.password?.toString('utf8') ?? '';
    const address = addressOf(facts);
    if (failedLogins.blockedFor(address) > 0 && !principals.isKnown(password)) return { ok: false, code: UNAVAILABLE };
    const identity = await principals.authenticate(password);
    const tag = identity === null ? null : tagOf(facts, identity);
    if (tag !== null) return { ok: true, tag };
    failedLogins.add(address);
    onFailedLogin();
    return { ok: false, code: NOT_AUTHORIZED };
  };

  const policy: AccessPolicy<MqttTag> = {
    persistence: false,
    connect: (facts) => (parts === null ? { ok: false, code: UNAVAILABLE } : login(facts, parts)),
    // A refused publication cannot be answered in MQTT 3.1.1; closing at least shows it.
    publish: ({ tag }, { topic, retain }) =>
      tag.kind === 'client' && topic === tag.requests && !retain ? 'allow' : 'disconnect',
    onPublish: (connection, _, payload) => {
      const { tag } = connection;
      if (tag.kind === 'client') parts?.rpc.take(tag.identity, payload, parts.signalOf(connection));
    },
    subscribe: ({ tag }, filter) => {
      const rights = tag.kind === 'client' ? tag.rights : OPERATOR_RIGHTS;
      const granted = rights.some((right) => filterCovers(right, filter));
      if (granted && tag.kind === 'operator') parts?.onOperatorSubscribe(tag.principal, filter);
      return granted;
    },
    deliver: ({ tag }, topic) =>
      tag.kind === 'client'
        ? tag.cut
          ? topic === tag.replies
          : (tag.eventPrefix !== null && topic.startsWith(tag.eventPrefix)) || tag.exact.has(topic)
        : OPERATOR_PREFIXES.some((prefix) => topic.startsWith(prefix)),
    connected: (connection) => parts?.connected(connection),
    disconnected: (connection) => parts?.disconnected(connection),
    initial: async ({ tag }, filter) =>
      tag.kind === 'client' && parts !== null ? parts.live.initial(tag.identity, filter) : [],
  };
  return {
    policy,
    bind: (bound) => {
      parts = bound;
    },
  };
};
