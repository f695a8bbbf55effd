import type { Connection } from '../../brokers/access.ts';
import type { Bus } from '../../brokers/bus.ts';
import type { EmbeddedBroker } from '../../brokers/embedded.ts';
import { canTopic } from '../../machines/topic.ts';
import type { Cuts } from './cuts.ts';
import type { MqttTag } from './mqtt-access.ts';
import type { Presence } from './presence.ts';

/** What the gateway needs of the broker besides the bus. */
export type MqttServer = Pick<EmbeddedBroker, 'disconnect' | 'listenTcp' | 'acceptWebSocket'>;

/** The MQTT connections of clients: each counts as presence, and ends when its client is cut. */
export interface MqttConnections {
  connected(connection: Connection<MqttTag>): void;
  disconnected(connection: Connection<MqttTag>): void;
  /** Aborted when the client's last connection ends: replies go to its topic, whichever of them has asked. */
  signalOf(connection: Connection<MqttTag>): AbortSignal;
  count(): number;
}

export interface MqttConnectionsOptions {
  readonly bus: Bus;
  readonly server: Pick<MqttServer, 'disconnect'>;
  readonly presence: Presence;
  readonly cuts: Cuts;
}

/** How long the last events of a client may take to reach its connection, and then to be written (100 ms in all). */
const TAKEN_MS = 40;
const WRITTEN_MS = 30;

/** What a client that was cut may do. */
const NOTHING = JSON.stringify({ seq: null, operations: [], commands: [] });

export const createMqttConnections = (options: MqttConnectionsOptions): MqttConnections => {
  const { bus, server, presence, cuts } = options;
  const open = new Map<Connection<MqttTag>, { readonly leave: () => void }>();
  const clients = new Map<string, { readonly controller: AbortController; connections: number }>();

  /** One connection more of a client; answers what to do when it ends. */
  const join = (client: string): (() => void) => {
    const entry = clients.get(client) ?? { controller: new AbortController(), connections: 0 };
    entry.connections += 1;
    clients.set(client, entry);
    return () => {
      entry.connections -= 1;
      if (entry.connections > 0) return;
      clients.delete(client);
      entry.controller.abort();
    };
  };

  /** Closes a connection once the events before the cut are with it; nothing later is delivered. */
  const close = ({ clientId, tag }: Connection<MqttTag>): void => {
    if (tag.kind !== 'client') return;
    const { session_id, client_id } = tag.identity.client;
    const topic = canTopic(session_id, client_id);
    const taken = (): void => {
      clearTimeout(timer);
      unsubscribe();
      tag.cut = true;
      setTimeout(() => server.disconnect(clientId), WRITTEN_MS);
    };
    const timer = setTimeout(taken, TAKEN_MS);
    // Publications keep their order: what was published before this one has arrived when it does.
    const unsubscribe = bus.subscribe(topic, taken);
    void bus.publish(topic, NOTHING).catch(taken);
  };

  return {
    connected: (connection) => {
      const { tag } = connection;
      if (tag.kind !== 'client') {
        // Operators ask for nothing. The key may be revoked already: the broker first has to know the connection.
        const end = (): void => void setImmediate(() => server.disconnect(connection.clientId));
        open.set(connection, { leave: cuts.on(tag.key_id, end) });
        return;
      }
      const { client } = tag.identity;
      const detach = presence.connect(client);
      const forget = cuts.on(client.client_id, () => close(connection));
      const part = join(client.client_id);
      const leave = (): void => {
        detach();
        forget();
        part();
      };
      open.set(connection, { leave });
    },
    disconnected: (connection) => {
      const entry = open.get(connection);
      open.delete(connection);
      entry?.leave();
    },
    // By the client, not the connection: whoever publishes a request and leaves at once may listen on another one.
    signalOf: ({ tag }) => {
      const client = tag.kind === 'client' ? clients.get(tag.identity.client.client_id) : undefined;
      return client?.controller.signal ?? AbortSignal.abort();
    },
    count: () => open.size,
  };
};
