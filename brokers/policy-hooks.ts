import type { AccessPolicy, Connection, ConnectVerdict, PublishVerdict } from './access.ts';
import type { AedesClient, DeliveredPacket } from './aedes-client.ts';
import type { BrokerLimits } from './limits.ts';
import type { Peer } from './peer.ts';
import type { StoredSubscription } from './store.ts';

/** What Aedes reads of a CONNECT packet and what we change in it. */
interface ConnectPacket {
  readonly username?: string;
  readonly password?: Buffer;
  clean: boolean;
  will?: { topic: string; payload: Buffer; qos: 0 | 1 | 2; retain: boolean };
}

interface ClientPublication {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

type Callback<T = never> = (error: Error | null, value?: T | null) => void;

/** An access policy in the form of Aedes' hooks. None of them throws. */
export interface PolicyHooks {
  preConnect(client: AedesClient, packet: ConnectPacket, done: Callback<boolean>): void;
  authenticate(client: AedesClient, username: unknown, password: unknown, done: Callback<boolean>): void;
  authorizePublish(client: AedesClient | null, packet: ClientPublication, done: Callback): void;
  authorizeSubscribe(client: AedesClient, wanted: StoredSubscription, done: Callback<StoredSubscription>): void;
  authorizeForward(client: AedesClient, packet: DeliveredPacket): DeliveredPacket | null;
}

export interface PolicyHooksOptions {
  readonly policy: AccessPolicy;
  readonly limits: BrokerLimits;
  readonly peerOf: (client: AedesClient) => Peer;
  readonly onError: (error: unknown) => void;
  /** A session that may outlive its connection begins or goes on; true where there was one. */
  readonly openSession: (clientId: string) => boolean;
  /** This publication is acknowledged and goes nowhere. */
  readonly ignore: (packet: object) => void;
  /** This subscription was granted. */
  readonly grant: (subscription: StoredSubscription) => void;
}

/** Aedes turns `returnCode` into CONNACK's; without one it is 5. */
const refused = (code: number, message: string): Error => Object.assign(new Error(message), { returnCode: code });

const UNAVAILABLE = { ok: false, code: 3 } as const;
const NOT_AUTHORIZED = { ok: false, code: 5 } as const;

/** What the policy says, or `otherwise` where it says nothing in time or throws. Never rejects. */
const answered = async <T>(
  asked: () => Promise<T> | T,
  otherwise: T,
  ms: number,
  onError: (error: unknown) => void,
): Promise<T> => {
  const late = Promise.withResolvers<T>();
  const timer = setTimeout(() => late.resolve(otherwise), ms);
  try {
    return await Promise.race([late.promise, asked()]);
  } catch (error) {
    onError(error);
    return otherwise;
  } finally {
    clearTimeout(timer);
  }
};

export const createPolicyHooks = (options: PolicyHooksOptions): PolicyHooks => {
  const { policy, limits, peerOf, onError } = options;
  const attempt = <T>(answer: () => T, otherwise: T): T => {
    try {
      return answer();
    } catch (error) {
      onError(error);
      return otherwise;
    }
  };

  const mayPublish = (connection: Connection, packet: ClientPublication): PublishVerdict =>
    packet.retain && !policy.persistence
      ? 'disconnect'
      : attempt(() => policy.publish(connection, packet), 'disconnect');

  const maySubscribe = (peer: Peer, filter: string): boolean | Promise<boolean> => {
    const { connection, granted } = peer;
    if (connection === null || filter.startsWith('$share/')) return false;
    if (!policy.persistence && (filter === '$SYS' || filter.startsWith('$SYS/'))) return false;
    if (!granted.has(filter) && granted.size >= limits.maxFilters) return false;
    const verdict = attempt(() => policy.subscribe(connection, filter), false);
    return typeof verdict === 'boolean' ? verdict : answered(() => verdict, false, limits.connectTimeoutMs, onError);
  };

  const login = async (client: AedesClient, done: Callback<boolean>): Promise<void> => {
    const peer = peerOf(client);
    const facts = { ...(peer.facts as NonNullable<Peer['facts']>), clientId: client.id };
    peer.facts = null;
    const asked = (): Promise<ConnectVerdict<unknown>> | ConnectVerdict<unknown> =>
      facts.will !== undefined && !policy.persistence ? NOT_AUTHORIZED : policy.connect(facts);
    const verdict = await answered(asked, UNAVAILABLE, limits.connectTimeoutMs, onError);
    if (client.closed) return;
    if (!verdict.ok) {
      done(refused(verdict.code, 'the login was refused'), null);
      return;
    }
    const { clientId, username, remote } = facts;
    peer.connection = { clientId, username, remote, tag: verdict.tag };
    if (!client.clean) peer.sessionPresent = options.openSession(clientId);
    done(null, true);
  };

  return {
    preConnect: (client, packet, done) => {
      const { username, password, will } = packet;
      peerOf(client).facts = { username, password, will, remote: peerOf(client).remote };
      if (!policy.persistence) packet.clean = true;
      done(null, true);
    },
    authenticate: (client, _username, _password, done) => {
      login(client, done).catch((error: unknown) => {
        onError(error);
        client.close();
      });
    },
    authorizePublish: (client, packet, done) => {
      const connection = client === null ? null : peerOf(client).connection;
      const verdict = connection === null ? 'disconnect' : mayPublish(connection, packet);
      if (verdict === 'ignore') options.ignore(packet);
      done(verdict === 'disconnect' ? new Error('a publication was refused') : null);
    },
    authorizeSubscribe: (client, wanted, done) => {
      const peer = peerOf(client);
      const decided = (may: boolean): void => {
        if (client.closed) return;
        if (may) {
          peer.grant(wanted.topic, wanted.qos);
          options.grant(wanted);
        }
        done(null, may ? wanted : null);
      };
      const verdict = maySubscribe(peer, wanted.topic);
      if (typeof verdict === 'boolean') decided(verdict);
      else void verdict.then(decided);
    },
    authorizeForward: (client, packet) => {
      const peer = peerOf(client);
      const { connection } = peer;
      if (connection === null || !attempt(() => policy.deliver(connection, packet.topic), false)) return null;
      if (packet.qos === 0 || packet.messageId !== undefined) return packet;
      const id = peer.ids.take();
      if (id === null) return null;
      packet.messageId = id;
      return packet;
    },
  };
};
