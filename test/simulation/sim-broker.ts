import type { Bus } from '../../brokers/bus.ts';
import type { AccessPolicy, Connection } from '../../brokers/access.ts';
import { ProblemError } from '../../machines/error.ts';
import { unreachable } from '../../src/client/failure.ts';
import type { MqttConnection, MqttListener, MqttLogin } from '../../src/client/mqtt-connection.ts';
import type { Channel, Channels } from './channels.ts';
import type { Domain, VirtualWorld } from './virtual-world.ts';

export interface SimBroker {
  /** Opens a connection from a client's domain; the answers come over a channel of its own. */
  open(login: MqttLogin, listener: MqttListener, client: Domain): Promise<MqttConnection>;
  disconnect(clientId: string): boolean;
  /** The process is gone: every connection breaks. */
  die(): void;
  /** Breaks one connection; what was under way on it may be lost or not. */
  breakOne(choice: number): void;
  /** While true a connection's client reads nothing. */
  stallOne(choice: number): void;
  stallNone(): void;
  /** Delivers the newest message to a client again, as QoS 1 may. */
  doubleOne(choice: number): void;
}

interface Line {
  readonly connection: Connection;
  readonly toClient: Channel;
  readonly unsubscribe: Set<() => void>;
  readonly gone: () => void;
  over: boolean;
}

const REMOTE = '192.0.2.1:1';

/** MQTT without packets: the real access policy, the bus's order, and connections that stall and break. */
export const createSimBroker = <Tag>(
  world: VirtualWorld,
  channels: Channels,
  server: Domain,
  bus: Bus,
  policy: AccessPolicy<Tag>,
): SimBroker => {
  const lines = new Set<Line>();

  const end = (line: Line): void => {
    if (line.over) return;
    line.over = true;
    lines.delete(line);
    for (const unsubscribe of line.unsubscribe) unsubscribe();
    policy.disconnected?.(line.connection as Connection<Tag>);
    // The loss is noticed at some time, after what was under way or instead of it.
    if (world.draw(2) === 0) line.toClient.drop();
    line.toClient.stalled = false;
    line.toClient.send(line.gone);
  };

  const serve = (line: Line, toServer: Channel): MqttConnection => {
    const connection = line.connection as Connection<Tag>;
    const ask = (what: (settle: (task: () => void) => void) => void): void =>
      toServer.send(() => {
        if (!line.over) what((task) => line.toClient.send(task));
      });
    const forward =
      (listener: MqttListener) =>
      (topic: string, payload: Uint8Array): void => {
        if (!line.over && policy.deliver(connection, topic)) line.toClient.send(() => listener.message(topic, payload));
      };
    const { listener } = line as Line & { readonly listener: MqttListener };
    return {
      publish: (topic, payload) =>
        ask(() => {
          const bytes = Buffer.from(payload);
          const verdict = policy.publish(connection, { topic, qos: 1, retain: false, payload: bytes });
          if (verdict === 'disconnect') return end(line);
          if (verdict === 'ignore') return undefined;
          void bus.publish(topic, bytes, { qos: 1 });
          return policy.onPublish?.(connection, topic, bytes);
        }),
      subscribe: (filter) => {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const timer = setTimeout(() => reject(unreachable('no answer to a subscription')), 5_000);
        ask((settle) => {
          void Promise.resolve(policy.subscribe(connection, filter)).then(async (granted) => {
            if (line.over) return;
            if (!granted)
              return settle(() =>
                reject(new ProblemError('security_violation', `the subscription to ${filter} was refused`)),
              );
            line.unsubscribe.add(bus.subscribe(filter, forward(listener)));
            settle(resolve);
            for (const first of (await policy.initial?.(connection, filter)) ?? [])
              if (!line.over) settle(() => listener.message(first.topic, Buffer.from(first.payload)));
            return undefined;
          });
        });
        return promise.finally(() => clearTimeout(timer));
      },
      close: () => toServer.send(() => end(line)),
    };
  };

  const chosen = (choice: number): Line | undefined => [...lines][choice % Math.max(1, lines.size)];

  return {
    open: (login, listener, client) => {
      const { promise, resolve, reject } = Promise.withResolvers<MqttConnection>();
      const toServer = channels.open(server);
      const toClient = channels.open(client);
      const timer = setTimeout(() => reject(unreachable('no answer to a login')), login.timeoutMs);
      let isClosed = false;
      const gone = (): void => {
        if (isClosed) return;
        isClosed = true;
        reject(unreachable('the connection broke'));
        listener.closed();
      };
      toServer.send(() => {
        const { clientId, username } = login;
        const facts = { clientId, username, password: Buffer.from(login.password), will: undefined, remote: REMOTE };
        void Promise.resolve(policy.connect(facts)).then((verdict) => {
          if (!verdict.ok) {
            const refusal = verdict.code === 4 || verdict.code === 5;
            return toClient.send(() =>
              reject(refusal ? new ProblemError('unauthenticated', 'the login was refused') : unreachable('not now')),
            );
          }
          const connection = { clientId, username, remote: REMOTE, tag: verdict.tag };
          const line = { connection, toClient, unsubscribe: new Set<() => void>(), gone, over: false, listener };
          lines.add(line);
          policy.connected?.(connection);
          const served = serve(line, toServer);
          if (!line.over) toClient.send(() => resolve(served));
          return undefined;
        });
      });
      // Where the server is dead nobody answers; the client's own deadline ends the wait.
      return promise.finally(() => clearTimeout(timer));
    },
    disconnect: (clientId) => {
      const line = [...lines].find(({ connection }) => connection.clientId === clientId);
      if (line !== undefined) end(line);
      return line !== undefined;
    },
    die: () => {
      for (const line of lines) {
        if (world.draw(2) === 0) line.toClient.drop();
        line.toClient.stalled = false;
        line.toClient.send(line.gone);
      }
      lines.clear();
    },
    breakOne: (choice) => {
      const line = chosen(choice);
      if (line !== undefined) end(line);
    },
    stallOne: (choice) => {
      const line = chosen(choice);
      if (line !== undefined) line.toClient.stalled = true;
    },
    stallNone: () => {
      for (const { toClient } of lines) toClient.stalled = false;
    },
    doubleOne: (choice) => chosen(choice)?.toClient.double(),
  };
};
