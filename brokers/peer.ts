import type { Connection, ConnectFacts } from './access.ts';
import type { AedesClient, DeliveredPacket } from './aedes-client.ts';
import { waitsForDrain } from './drain-wait.ts';
import type { BrokerLimits } from './limits.ts';
import { createPacketIds, type PacketIds } from './packet-ids.ts';
import { createRouter } from './router.ts';
import type { GuardedWire } from './wire-guard.ts';

/** One connection as the broker sees it: Aedes' client, the wire, and what has been granted. */
export interface Peer {
  readonly client: AedesClient;
  readonly wire: GuardedWire;
  readonly remote: string;
  readonly ids: PacketIds;
  facts: Omit<ConnectFacts, 'clientId'> | null;
  connection: Connection | null;
  /** CONNACK is out and what a resumed session had waiting is sent. */
  ready: boolean;
  sessionPresent: boolean;
  /** Filters granted with their QoS. */
  readonly granted: ReadonlyMap<string, 0 | 1 | 2>;
  grant(filter: string, qos: 0 | 1 | 2): void;
  revoke(filter: string): void;
  /** Sends a publication that one of the granted filters matches. */
  deliver(packet: DeliveredPacket, done: () => void): void;
  /** Ends it at once, whatever is still to be written. */
  cut(reason: string): void;
  /** Takes and says no more; what the network has of what was written arrives. */
  end(reason: string): void;
}

/** A packet's share of the backlog besides its payload and topic. */
const OVERHEAD = 64;
/** How much more may be handed over in one go than may stay unwritten. */
const BURST = 16;

/**
 * Takes over how Aedes delivers to one client. A publication goes out once, however many filters match it, with the
 * lesser of its own QoS and the greatest granted [MQTT-3.3.5-1], [MQTT-3.8.4-6]; and a client that takes nothing is cut
 * off before its backlog holds up others.
 */
export const createPeer = (
  client: AedesClient,
  wire: GuardedWire,
  remote: string,
  limits: BrokerLimits,
  onCut: (clientId: string | null, reason: string) => void,
): Peer => {
  const granted = new Map<string, 0 | 1 | 2>();
  const filters = createRouter<0 | 1 | 2>();
  const { deliver0, deliverQoS } = client;
  let dead = false;
  /** The counter of the last publication, which further matching filters bring again. */
  let lastCounter = -1;
  /** Handed to Aedes and not written yet: it writes in a later turn of the event loop. */
  let handedBytes = 0;

  const revoke = (filter: string): void => {
    const qos = granted.get(filter);
    if (qos === undefined) return;
    granted.delete(filter);
    filters.remove(filter, qos);
  };

  const overload = (): string | null => {
    if (wire.backlogBytes() > limits.maxBacklogBytes || handedBytes > BURST * limits.maxBacklogBytes)
      return 'too slow for what it subscribes to';
    return null;
  };

  const close = (reason: string, lingers: boolean): void => {
    if (dead) return;
    dead = true;
    onCut(peer.connection?.clientId ?? null, reason);
    if (!lingers) wire.cut();
    client.close();
  };

  const peer: Peer = {
    client,
    wire,
    remote,
    ids: createPacketIds(limits.maxUnacknowledged),
    facts: null,
    connection: null,
    ready: false,
    sessionPresent: false,
    granted,
    grant: (filter, qos) => {
      revoke(filter);
      granted.set(filter, qos);
      filters.add(filter, qos);
    },
    revoke,
    deliver: (packet, done) => {
      const counter = packet.brokerId ? packet.brokerCounter : undefined;
      if (dead || counter === lastCounter) return done();
      const matching = filters.match(packet.topic);
      if (matching.length === 0) return done();
      let greatest: 0 | 1 | 2 = 0;
      for (const qos of matching) if (qos > greatest) greatest = qos;
      const qos = Math.min(packet.qos, greatest) as 0 | 1 | 2;
      // It lies in the session's queue, which is sent in order before anything new.
      if (!peer.ready && !client.clean && qos > 0 && !packet.retain) return done();
      const problem = overload() ?? (qos > 0 && peer.ids.full() ? 'acknowledges nothing' : null);
      if (problem !== null) {
        peer.cut(problem);
        return done();
      }
      if (counter !== undefined) lastCounter = counter;
      packet.qos = qos;
      // How it came in says nothing about how it goes out [MQTT-3.3.1-3].
      packet.dup = false;
      // Aedes would lower the QoS to that of the filter that is equal to the topic.
      const equal = client.subscriptions[packet.topic];
      if (equal !== undefined && equal.qos < qos) equal.qos = qos;
      const bytes = OVERHEAD + packet.topic.length + packet.payload.length;
      handedBytes += bytes;
      (qos === 0 ? deliver0 : deliverQoS)(packet, () => {
        handedBytes -= bytes;
        done();
      });
    },
    cut: (reason) => close(reason, false),
    // Who sends while it is closed would be answered by a reset, which takes back what it has not read.
    end: (reason) => close(reason, wire.backlogBytes() === 0),
  };

  client.deliver0 = peer.deliver;
  client.deliverQoS = peer.deliver;
  waitsForDrain(client, wire, { ...limits, onFrozen: () => peer.cut('takes nothing') });
  return peer;
};
