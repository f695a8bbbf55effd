import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { generate, type Packet, parser } from 'mqtt-packet';
import { openPolicy } from '../../brokers/access.ts';
import { createEmbeddedBroker, type EmbeddedBroker, type EmbeddedBrokerOptions } from '../../brokers/embedded.ts';

/** Longer than anything takes on a loaded machine; a test that fails by it hangs in truth. */
const DEADLINE_MS = 10_000;

/** Rejects with `what` when the deadline passes first. */
export const within = async <T>(what: string, promise: Promise<T>, ms = DEADLINE_MS): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Waits until the condition holds. */
export const until = async (what: string, condition: () => boolean): Promise<void> => {
  const end = Date.now() + DEADLINE_MS;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`no ${what} within ${DEADLINE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};

/** Some turns of the event loop: what the broker does by itself is done after them. */
export const settle = async (turns = 12): Promise<void> => {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** Any packet; the parser fills in more than any test says. */
export type AnyPacket = Packet & Record<string, unknown>;

/** An MQTT client that does nothing by itself: every packet is the test's, and every answer too. */
export interface WireClient {
  readonly stream: Duplex;
  send(...packets: readonly (object | Uint8Array)[]): void;
  /** The next packet, which must be of this kind. */
  expect(cmd: string): Promise<AnyPacket>;
  /** Everything that arrived until the server has answered a PINGREQ. */
  drain(): Promise<AnyPacket[]>;
  /** Resolves with what arrived before when the server has closed the connection. */
  closed(): Promise<AnyPacket[]>;
  readonly isClosed: boolean;
  /** Breaks the connection without DISCONNECT. */
  destroy(): void;
}

const encode = (packet: object | Uint8Array): Uint8Array =>
  packet instanceof Uint8Array ? packet : generate(packet as Packet);

const wireClient = (stream: Duplex): WireClient => {
  const arrived: AnyPacket[] = [];
  let isClosed = false;
  let wake: () => void = () => {};
  const reader = parser({ protocolVersion: 4 });
  reader.on('packet', (packet) => {
    arrived.push(packet as AnyPacket);
    wake();
  });
  const end = (): void => {
    isClosed = true;
    stream.destroy();
    wake();
  };
  stream.on('data', (chunk: Buffer) => void reader.parse(chunk));
  stream.on('error', end).on('end', end).on('close', end);

  const take = async (): Promise<AnyPacket> => {
    while (arrived.length === 0) {
      if (isClosed) throw new Error('the server closed the connection');
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return arrived.shift() as AnyPacket;
  };

  return {
    stream,
    send: (...packets) => void stream.write(Buffer.concat(packets.map(encode))),
    expect: async (cmd) => {
      const packet = await within(cmd, take());
      if (packet.cmd !== cmd) throw new Error(`expected ${cmd}, got ${JSON.stringify(packet)}`);
      return packet;
    },
    drain: async () => {
      await settle();
      stream.write(generate({ cmd: 'pingreq' }));
      const before: AnyPacket[] = [];
      for (;;) {
        const packet = await within('pingresp', take());
        if (packet.cmd === 'pingresp') return before;
        before.push(packet);
      }
    },
    closed: async () => {
      const open = (): boolean => !isClosed;
      const wait = async (): Promise<AnyPacket[]> => {
        while (open())
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        return arrived.splice(0);
      };
      return within('close', wait());
    },
    get isClosed() {
      return isClosed;
    },
    destroy: () => void stream.destroy(),
  };
};

export interface TestBroker extends EmbeddedBroker {
  /** Why connections were cut. */
  readonly cuts: readonly string[];
  readonly errors: readonly unknown[];
  /** A connection over memory on which nothing has been said. */
  dial(): WireClient;
  /** A client that has logged in. */
  login(clientId?: string, options?: object): Promise<WireClient>;
}

let numbered = 0;

export const CONNECT = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 };

/** A broker for one test, with the open policy unless told otherwise. */
const testBroker = async (options: Partial<EmbeddedBrokerOptions> = {}): Promise<TestBroker> => {
  const cuts: string[] = [];
  const errors: unknown[] = [];
  const broker = await createEmbeddedBroker({
    policy: openPolicy,
    onCut: (clientId, reason) => cuts.push(`${clientId}: ${reason}`),
    onError: (error) => errors.push(error),
    ...options,
  });
  const dial = (): WireClient => {
    const [near, far] = duplexPair();
    broker.acceptStream(far, 'memory');
    return wireClient(near);
  };
  return {
    ...broker,
    cuts,
    errors,
    dial,
    login: async (clientId = `test-${++numbered}`, more = {}) => {
      const client = dial();
      client.send({ ...CONNECT, clientId, ...more });
      await client.expect('connack');
      return client;
    },
  };
};

/** A test's body with a broker of its own, which is closed whatever happens. */
export const withBroker =
  (body: (broker: TestBroker) => Promise<void>, options: Partial<EmbeddedBrokerOptions> = {}) =>
  async (): Promise<void> => {
    const broker = await testBroker(options);
    try {
      await body(broker);
    } finally {
      await broker.close();
    }
  };

/** A connection over TCP. */
export const dialTcp = async (port: number): Promise<WireClient> => {
  const socket = connectTcp(port, '127.0.0.1');
  await within('connection', once(socket, 'connect'));
  return wireClient(socket);
};

export const subscribe = async (
  client: WireClient,
  filters: Readonly<Record<string, 0 | 1 | 2>>,
  messageId = 1,
): Promise<AnyPacket> => {
  const subscriptions = Object.entries(filters).map(([topic, qos]) => ({ topic, qos }));
  client.send({ cmd: 'subscribe', messageId, subscriptions });
  return client.expect('suback');
};

export const publish = (topic: string, payload: string, more: object = {}): object => ({
  cmd: 'publish',
  topic,
  payload,
  qos: 0,
  retain: false,
  dup: false,
  ...more,
});

/** Publications among packets as `topic=payload`. */
export const told = (packets: readonly AnyPacket[]): string[] =>
  packets
    .filter(({ cmd }) => cmd === 'publish')
    .map((packet) => `${String(packet['topic'])}=${String(packet['payload'])}`);
