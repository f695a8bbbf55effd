import mqtt, { type MqttClient } from 'mqtt';
import { CONNECT, dialTcp, publish, subscribe, within } from './mqtt-wire.ts';

/** Whatever was parsed: a test looks at what it expects. */
type Json = ReturnType<typeof JSON.parse>;

/** Where a gateway listens. */
export interface Place {
  readonly http: string;
  readonly mqttPort: number;
}

/** What arrived. */
export interface Heard {
  /** Null where the binding has none. */
  readonly topic: string | null;
  readonly json: Json;
}

/** Somebody who listens on one connection, until the other side ends it. */
export interface Ear {
  readonly name: string;
  /** In order of arrival. Complete once `over` has resolved. */
  readonly heard: readonly Heard[];
  /** Resolves when nothing more can arrive. */
  readonly over: Promise<void>;
  isOver(): boolean;
  end(): void;
}

const earOf = (name: string, heard: readonly Heard[], listening: Promise<unknown>, end: () => void): Ear => {
  let isOver = false;
  const over = listening.then(
    () => void (isOver = true),
    () => void (isOver = true),
  );
  return { name, heard, over, isOver: () => isOver, end };
};

/** The events among what arrived. */
export const eventsOf = ({ heard }: Ear): Json[] =>
  heard.filter(({ topic }) => topic === null || topic.includes('/events/')).map(({ json }) => json);

/** An ear that can speak as well. */
export interface TcpEar extends Ear {
  publish(...publications: readonly (readonly [topic: string, payload: string])[]): void;
}

/**
 * Listens over MQTT on TCP, without a client library; resolves when it is subscribed. Rejects where a login or a filter is
 * refused. `id` is the client id where it is not that of the registration.
 */
export const earOverTcp = async (
  { mqttPort }: Place,
  { client_id, client_token }: Json,
  filters: Readonly<Record<string, 0 | 1>>,
  suffix = '',
  id: string = client_id,
): Promise<TcpEar> => {
  const client = await dialTcp(mqttPort);
  client.send({ ...CONNECT, clientId: id + suffix, username: client_id, password: client_token });
  const { returnCode } = await client.expect('connack');
  if (returnCode !== 0) throw new Error(`a login was refused with ${String(returnCode)}`);
  const { granted } = await subscribe(client, filters);
  if ((granted as number[]).includes(0x80)) throw new Error(`refused: ${Object.keys(filters).join(' ')}`);
  const heard: Heard[] = [];
  const listen = async (): Promise<void> => {
    for (;;) {
      try {
        const { topic, payload } = await client.expect('publish');
        heard.push({ topic: String(topic), json: JSON.parse(String(payload)) });
      } catch (error) {
        if (client.isClosed) return;
        if (!(error as Error).message.startsWith('no publish within')) throw error;
      }
    }
  };
  return {
    ...earOf(`TCP${suffix}`, heard, listen(), () => client.destroy()),
    publish: (...publications) => client.send(...publications.map(([topic, payload]) => publish(topic, payload))),
  };
};

const connected = (client: MqttClient): Promise<void> =>
  within(
    'a connection over WebSocket',
    new Promise((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
    }),
  );

/** The same over WebSocket, with mqtt.js, which does not reconnect. */
export const earOverWebSocket = async (
  { http }: Place,
  { client_id, client_token }: Json,
  filters: readonly string[],
  suffix = ':ws',
): Promise<Ear> => {
  const client = mqtt.connect(`${http.replace('http', 'ws')}/mqtt`, {
    protocolVersion: 4,
    reconnectPeriod: 0,
    clientId: client_id + suffix,
    username: client_id,
    password: client_token,
  });
  const heard: Heard[] = [];
  client.on('message', (topic, payload) => void heard.push({ topic, json: JSON.parse(String(payload)) }));
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  await connected(client);
  client.on('error', () => {});
  await within('a grant', client.subscribeAsync([...filters], { qos: 1 }));
  return earOf('WebSocket', heard, closed, () => void client.end(true));
};

/** Listens to server-sent events after a `seq`; resolves when the stream is open. */
export const earOverSse = async (
  { http }: Place,
  session: string,
  token: string,
  after: number | null = null,
): Promise<Ear> => {
  const stop = new AbortController();
  const answer = await within(
    'a stream',
    fetch(`${http}/v1/sessions/${session}/events${after === null ? '' : `?after=${after}`}`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
      signal: stop.signal,
    }),
    60_000,
  );
  if (answer.status !== 200 || answer.body === null) throw new Error(`a stream was refused: ${await answer.text()}`);
  const heard: Heard[] = [];
  const listen = async (body: ReadableStream<Uint8Array>): Promise<void> => {
    let rest = '';
    for await (const text of body.pipeThrough(new TextDecoderStream())) {
      const records = (rest + text).split('\n\n');
      rest = records.pop() ?? '';
      for (const record of records) {
        const data = record.split('\n').find((line) => line.startsWith('data: '));
        if (data !== undefined) heard.push({ topic: null, json: JSON.parse(data.slice(6)) });
      }
    }
  };
  return earOf('server-sent events', heard, listen(answer.body), () => stop.abort());
};

/** The return code of a CONNECT, and whether the server has closed the connection after a refusal. */
export const connackOf = async (
  { mqttPort }: Place,
  login: { readonly clientId: string; readonly username: string; readonly password: string },
): Promise<number> => {
  const client = await dialTcp(mqttPort);
  client.send({ ...CONNECT, ...login });
  const { returnCode } = await client.expect('connack');
  if (returnCode === 0) client.destroy();
  else await client.closed();
  return returnCode as number;
};
