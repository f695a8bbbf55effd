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
import type { Cuts } from './cuts.ts';
import type { Facts } from './facts.ts';
import type { FailedLogins } from './failed-logins.ts';
import type { LiveTopics } from './mqtt-live.ts';
import type { MqttRpc } from './mqtt-rpc.ts';
import type { ClientIdentity, Identity, Principals } from './principals.ts';

/** What is known of a connection: whose it is, and the topics it may hear. */
export type MqttTag =
  | {
      readonly kind: 'client';
      /** As it logged in; its capabilities may have become fewer. */
      readonly identity: ClientIdentity;
      /** Topics that are its own, whatever its capabilities. */
      readonly own: ReadonlySet<string>;
      readonly state: string;
      readonly eventPrefix: string;
      readonly requests: string;
      readonly replies: string;
      /** Set when the client is cut: nothing more is delivered but the reply to the call that it may have caused. */
      cut: boolean;
    }
  | { readonly kind: 'operator'; readonly principal: string; readonly key_id: string };

export interface MqttAccessParts {
  readonly principals: Principals;
  readonly failedLogins: FailedLogins;
  readonly live: LiveTopics;
  readonly rpc: MqttRpc;
  readonly facts: Pick<Facts, 'knownClient' | 'barred'>;
  readonly cuts: Pick<Cuts, 'wasCut'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly onFailedLogin: () => void;
  /** Resolves when it is recorded; what cannot be recorded is refused. */
  readonly onOperatorSubscribe: (principal: string, filter: string, address: string) => Promise<void>;
  /** A publication or a subscription was refused. */
  readonly onRefused: (connection: Connection<MqttTag>, operation: 'publish' | 'subscribe') => void;
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
  const replies = repliesTopic(session_id, client_id);
  return {
    kind: 'client',
    identity,
    own: new Set([canTopic(session_id, client_id), replies]),
    state: stateTopic(session_id),
    eventPrefix: eventFilter(session_id).slice(0, -1),
    requests: requestsTopic(session_id, client_id),
    replies,
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
  if (identity.kind !== 'key' || !identity.operator) return null;
  const { principal, key_id } = identity;
  return clientId.startsWith('op:') && username === principal ? { kind: 'operator', principal, key_id } : null;
};

/** The address without the port, which is another one with every connection: as the HTTP binding counts it. */
export const addressOf = ({ remote }: Pick<ConnectFacts, 'remote'>): string => remote.replace(/:\d+$/, '');

export const createMqttAccess = (): MqttAccess => {
  let parts: MqttAccessParts | null = null;

  const login = async (
    facts: ConnectFacts,
    { principals, failedLogins, onFailedLogin }: MqttAccessParts,
  ): Promise<ConnectVerdict<MqttTag>> => {
    const password = facts.password?.toString('utf8') ?? '';
    const address = addressOf(facts);
    if (failedLogins.blockedFor(address) > 0 && !principals.isKnown(password)) return { ok: false, code: UNAVAILABLE };
    const identity = await principals.authenticate(password, address);
    const tag = identity === null ? null : tagOf(facts, identity);
    if (tag !== null) return { ok: true, tag };
    failedLogins.add(address);
    onFailedLogin();
    return { ok: false, code: NOT_AUTHORIZED };
  };

  /** Decided each time, on what is committed now. */
  const reads = ({ client }: ClientIdentity): boolean =>
    parts !== null && mayRead(parts.facts.knownClient(client.client_id) ?? client, parts.now());

  const hears = (tag: Extract<MqttTag, { kind: 'client' }>, topic: string): boolean => {
    if (tag.cut) return topic === tag.replies;
    if (tag.own.has(topic)) return true;
    const barred = parts?.facts.barred(tag.identity.client.client_id);
    const isEvent = topic.startsWith(tag.eventPrefix);
    if (barred !== undefined) return isEvent && barred.words.has(topic.slice(tag.eventPrefix.length));
    return (isEvent || topic === tag.state) && reads(tag.identity);
  };

  const mayHear = (tag: Extract<MqttTag, { kind: 'client' }>, filter: string): boolean => {
    if (tag.own.has(filter)) return true;
    const { session_id, client_id } = tag.identity.client;
    // Who is about to be cut is not told that it asks too much: it hears nothing, and then that it has no place here.
    if (parts?.facts.barred(client_id) === undefined && !reads(tag.identity)) return false;
    return filter === tag.state || filterCovers(eventFilter(session_id), filter);
  };

  const policy: AccessPolicy<MqttTag> = {
    persistence: false,
    connect: (facts) => (parts === null ? { ok: false, code: UNAVAILABLE } : login(facts, parts)),
    // A refused publication cannot be answered in MQTT 3.1.1; closing at least shows it.
    publish: (connection, { topic, retain }) => {
      const { tag } = connection;
      if (tag.kind === 'client' && topic === tag.requests && !retain) return 'allow';
      parts?.onRefused(connection, 'publish');
      return 'disconnect';
    },
    onPublish: (connection, _, payload) => {
      const { tag } = connection;
      if (tag.kind === 'client')
        parts?.rpc.take(tag.identity, payload, { signal: parts.signalOf(connection), address: addressOf(connection) });
    },
    subscribe: (connection, filter) => {
      const { tag } = connection;
      if (parts === null) return false;
      const granted =
        tag.kind === 'client'
          ? mayHear(tag, filter)
          : OPERATOR_RIGHTS.some((right) => filterCovers(right, filter)) && !parts.cuts.wasCut(tag.key_id);
      if (!granted) parts.onRefused(connection, 'subscribe');
      if (!granted || tag.kind === 'client') return granted;
      return parts.onOperatorSubscribe(tag.principal, filter, addressOf(connection)).then(() => true);
    },
    deliver: ({ tag }, topic) =>
      tag.kind === 'client'
        ? hears(tag, topic)
        : OPERATOR_PREFIXES.some((prefix) => topic.startsWith(prefix)) && parts?.cuts.wasCut(tag.key_id) === false,
    connected: (connection) => parts?.connected(connection),
    disconnected: (connection) => parts?.disconnected(connection),
    initial: async ({ tag }, filter) =>
      tag.kind === 'client' && parts?.facts.barred(tag.identity.client.client_id) === undefined
        ? (parts?.live.initial(tag.identity, filter) ?? [])
        : [],
  };
  return {
    policy,
    bind: (bound) => {
      parts = bound;
    },
  };
};
