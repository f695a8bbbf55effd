import type { Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { Aedes } from 'aedes';
import type { AccessPolicy, Connection } from './access.ts';
import type { AedesClient, DeliveredPacket, Publish, PublishedPacket } from './aedes-client.ts';
import { createMemoryStore } from './aedes-store.ts';
import { type Bus, BusClosedError, BusFullError, type BusOptions } from './bus.ts';
import { createEmitter, type EmitterListener } from './emitter.ts';
import { sendInitial } from './initial.ts';
import { type BrokerLimits, DEFAULT_LIMITS } from './limits.ts';
import { acceptWebSocket, type Listener, listenTcp } from './listeners.ts';
import { createOrdered } from './ordered.ts';
import { createPeer, type Peer } from './peer.ts';
import { createPolicyHooks } from './policy-hooks.ts';
import { createRouter } from './router.ts';
import { filterProblem, invalidName, topicProblem } from './topic-rules.ts';
import { guardWire } from './wire-guard.ts';

export interface EmbeddedBrokerOptions extends BusOptions {
  readonly policy: AccessPolicy;
  readonly limits?: Partial<BrokerLimits>;
  /**
   * Hears why the broker ended a connection: a violation of the protocol, a bound, a frozen peer, `disconnect`. The
   * client id is null before the login.
   */
  readonly onCut?: (clientId: string | null, reason: string) => void;
}

/** The bus as an MQTT 3.1.1 broker inside the process: what is published on it, any MQTT client may subscribe to. */
export interface EmbeddedBroker extends Bus {
  /** Listens on TCP; port 0 takes a free one. Rejects when the port cannot be had, with the system's error as cause. */
  listenTcp(options: { readonly host: string; readonly port: number }): Promise<{ host: string; port: number }>;
  /** Takes MQTT over WebSocket on a path of an HTTP server. Returns the way to stop taking more. */
  acceptWebSocket(server: HttpServer, path?: string): () => void;
  /** Takes any duplex stream as a client's connection. */
  acceptStream(stream: Duplex, remote: string): void;
  /** Ends the connection of this MQTT client id, after what was written to it; false where there is none. */
  disconnect(clientId: string): boolean;
  /** Who is logged in. */
  connections(): readonly Connection[];
}

interface Publication {
  readonly packet: PublishedPacket;
  readonly client: AedesClient | null;
  readonly done: (error?: Error | null) => void;
}

const TAKEN = Promise.resolve();
const nobody = (): void => {};

const asBuffer = (payload: string | Uint8Array): Buffer => {
  if (typeof payload === 'string') return Buffer.from(payload);
  return Buffer.isBuffer(payload) ? payload : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
};

/** Starts the broker; it has no way in until one of its `listen` and `accept` methods is called. */
export const createEmbeddedBroker = async (options: EmbeddedBrokerOptions): Promise<EmbeddedBroker> => {
  const { policy, onError = nobody, onCut = nobody } = options;
  const limits: BrokerLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const router = createRouter<EmitterListener>();
  const peers = new Set<Peer>();
  const peerByClient = new WeakMap<AedesClient, Peer>();
  const loggedIn = new Map<string, Peer>();
  const listeners = new Set<Listener>();
  const ignored = new WeakSet<object>();
  const granted = new WeakSet<object>();
  let open = 0;
  let closed = false;

  const report = (error: unknown): void => {
    try {
      onError(error);
    } catch {
      // Whoever hears of errors must not end the broker with one.
    }
  };
  const attempt = (call: () => void): void => {
    try {
      call();
    } catch (error) {
      report(error);
    }
  };
  const cutOff = (clientId: string | null, reason: string): void => attempt(() => onCut(clientId, reason));
  const peerOf = (client: AedesClient): Peer => {
    const peer = peerByClient.get(client);
    if (peer === undefined) throw new Error('a client that was never accepted');
    return peer;
  };

  const store = createMemoryStore(limits, {
    granted: (subscription) => granted.has(subscription),
    onFull: (what) => report(new Error(`${what} took no more`)),
    identify: (client, id) => {
      const { ids } = peerOf(client as AedesClient);
      if (id === undefined) return ids.take() ?? 0;
      ids.hold(id);
      return id;
    },
  });

  const hooks = createPolicyHooks({
    policy,
    limits,
    peerOf,
    onError: report,
    openSession: (clientId) => store.sessions.open(clientId),
    ignore: (packet) => void ignored.add(packet),
    grant: (subscription) => void granted.add(subscription),
  });

  let current: Publication | null = null;
  const emitter = createEmitter(router, () => {
    const emitted = current;
    if (emitted === null) return;
    const { packet, client } = emitted;
    const connection = client === null ? null : peerOf(client).connection;
    if (connection !== null) attempt(() => policy.onPublish?.(connection, packet.topic, packet.payload));
    ordered.reached(emitted);
  });

  const aedes = await Aedes.createBroker({
    ...(hooks as object),
    mq: emitter,
    persistence: store,
    concurrency: 0,
    // Waiting for a slow client is ours (`waitsForDrain`).
    drainTimeout: 0,
    connectTimeout: limits.connectTimeoutMs,
    // The guard hands over nothing before the login is decided, so nothing queues there.
    queueLimit: 1,
  });
  const start = aedes.publish.bind(aedes) as unknown as Publish;

  const ordered = createOrdered<Publication>((publication) => {
    current = publication;
    try {
      start(publication.packet, publication.client, (error) => {
        // With an error it has reached nobody and will not.
        if (error) ordered.reached(publication);
        publication.done(error);
      });
    } catch (error) {
      report(error);
      ordered.reached(publication);
    }
  }, limits.maxWaiting);

  /** What Aedes publishes itself: for its clients, and on `$SYS`, where it tells every reader who is connected. */
  const publishFromAedes = (
    packet: PublishedPacket,
    from: AedesClient | null | (() => void),
    then?: Publication['done'],
  ): void => {
    const client = typeof from === 'function' ? null : from;
    const done = (typeof from === 'function' ? from : then) ?? nobody;
    // A will has no command of its own and did not come as a PUBLISH.
    if (client !== null && packet.qos === 1 && packet.cmd === 'publish') peerOf(client).wire.published();
    if (client === null || ignored.has(packet)) done();
    else if (!ordered.push({ packet, client, done })) done(new BusFullError());
  };
  Object.assign(aedes, { publish: publishFromAedes });

  const events = aedes as unknown as NodeJS.EventEmitter;
  events.on('error', report);
  events.on('client', (client: AedesClient) => {
    const peer = peerOf(client);
    const { connection } = peer;
    loggedIn.set(client.id, peer);
    if (connection !== null) attempt(() => policy.connected?.(connection));
  });
  events.on('clientReady', (client: AedesClient) => {
    const peer = peerOf(client);
    peer.ready = true;
    if (!client.clean)
      // What was queued between the end of the resumed queue and now.
      for (const packet of store.sessions.outgoing(client.id))
        if (packet.messageId === undefined) peer.deliver({ ...packet } as DeliveredPacket, nobody);
    peer.wire.admit();
  });
  events.on('clientDisconnect', (client: AedesClient) => {
    const { connection } = peerOf(client);
    loggedIn.delete(client.id);
    if (connection !== null) attempt(() => policy.disconnected?.(connection));
  });
  events.on('unsubscribe', (filters: readonly string[], client: AedesClient) => {
    for (const filter of filters) peerOf(client).revoke(filter);
  });
  events.on('subscribe', (subscriptions: readonly { topic: string; qos: number }[], client: AedesClient) => {
    for (const { topic, qos } of subscriptions)
      if (qos !== 128) void sendInitial(peerOf(client), policy, topic, limits.connectTimeoutMs, report);
  });

  const acceptStream = (stream: Duplex, remote: string): void => {
    if (closed || open >= limits.maxConnections) {
      stream.on('error', nobody);
      stream.destroy();
      if (!closed) cutOff(null, 'too many connections');
      return;
    }
    open++;
    let accepted: Peer | null = null;
    const wire = guardWire(stream, {
      maxPacketBytes: limits.maxPacketBytes,
      maxLoginBytes: limits.maxLoginBytes,
      onViolation: (reason) => cutOff(accepted?.connection?.clientId ?? null, reason),
      sessionPresent: () => accepted?.sessionPresent ?? false,
      onAcknowledged: (id) => accepted?.ids.free(id),
    });
    const client = aedes.handle(wire.stream) as unknown as AedesClient;
    const peer = createPeer(client, wire, remote, limits, cutOff);
    accepted = peer;
    peers.add(peer);
    peerByClient.set(client, peer);
    wire.stream.once('close', () => {
      open--;
      // Aedes looks at the client once more when it hears of the end itself.
      setImmediate(() => {
        client.close();
        peers.delete(peer);
      });
    });
  };

  const add = <L extends Listener>(listener: L): L => {
    listeners.add(listener);
    return listener;
  };

  const shutDown = async (): Promise<void> => {
    closed = true;
    const ending = [...listeners].map((listener) => listener.close());
    for (const peer of peers) peer.wire.stream.destroy();
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    await Promise.all(ending);
  };
  let shut: Promise<void> | null = null;

  return {
    publish: (topic, payload, { qos = 0 } = {}) => {
      if (closed) return Promise.reject(new BusClosedError());
      const problem = topicProblem(topic);
      if (problem !== null) return Promise.reject(invalidName('topic', topic, problem));
      const packet = { cmd: 'publish', topic, payload: asBuffer(payload), qos, retain: false, dup: false } as const;
      return ordered.push({ packet, client: null, done: nobody }) ? TAKEN : Promise.reject(new BusFullError());
    },
    subscribe: (filter, listener) => {
      if (closed) throw new BusClosedError();
      const problem = filterProblem(filter);
      if (problem !== null) throw invalidName('filter', filter, problem);
      let live = true;
      const entry: EmitterListener = (packet, done) => {
        if (live && !closed) attempt(() => listener(packet.topic, packet.payload));
        done();
      };
      router.add(filter, entry);
      return () => {
        if (!live) return;
        live = false;
        router.remove(filter, entry);
      };
    },
    watched: (topic) => !closed && router.matchesAny(topic),
    close: () => {
      shut ??= shutDown();
      return shut;
    },
    listenTcp: async ({ host, port }) => {
      if (closed) throw new BusClosedError();
      return add(await listenTcp(host, port, acceptStream)).address;
    },
    acceptWebSocket: (server, path = '/mqtt') => {
      const listener = add(acceptWebSocket(server, path, limits.maxPacketBytes, acceptStream));
      return () => {
        listeners.delete(listener);
        void listener.close();
      };
    },
    acceptStream,
    disconnect: (clientId) => {
      const peer = loggedIn.get(clientId);
      peer?.end('disconnected by the server');
      return peer !== undefined;
    },
    connections: () => [...loggedIn.values()].flatMap(({ connection }) => connection ?? []),
  };
};
