import type { Event } from '../../machines/event.ts';
import { CONNECT, dialTcp, subscribe, within } from '../support/mqtt-wire.ts';
import type { Json, ServerProcess } from '../support/server.ts';

/** Somebody who watches a session and writes down what arrives, until the server is gone or the witness ends. */
export interface Witness {
  readonly name: string;
  /** In order of arrival. Complete once `over` has resolved. */
  readonly seen: readonly Event[];
  /** Resolves when nothing more can arrive. */
  readonly over: Promise<void>;
  end(): void;
}

/** Watches over server-sent events, after a `seq`; resolves when the stream is open. */
export const watchSse = async (server: ServerProcess, session: string, token: string, after = 0): Promise<Witness> => {
  const stop = new AbortController();
  const answer = await within(
    'a stream of events',
    fetch(`${server.http}/v1/sessions/${session}/events?after=${after}`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
      signal: stop.signal,
    }),
    60_000,
  );
  if (answer.status !== 200 || answer.body === null) throw new Error(`a stream was refused: ${await answer.text()}`);
  const seen: Event[] = [];
  const read = async (body: ReadableStream<Uint8Array>): Promise<void> => {
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of body) {
      const records = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
      rest = records.pop() ?? '';
      for (const record of records) {
        const data = record.split('\n').find((line) => line.startsWith('data: '));
        if (data !== undefined) seen.push(JSON.parse(data.slice(6)) as Event);
      }
    }
  };
  // That the server is killed under it is what a witness is for.
  const over = read(answer.body).catch(() => undefined);
  return { name: 'server-sent events', seen, over, end: () => stop.abort() };
};

/** Watches over MQTT as the client of a registration; resolves when it is subscribed. */
export const watchMqtt = async (server: ServerProcess, registration: Json): Promise<Witness> => {
  const { client_id, client_token, event_channel } = registration as Record<string, string>;
  const client = await dialTcp(server.mqttPort);
  client.send({ ...CONNECT, clientId: `${client_id}:witness`, username: client_id, password: client_token });
  const { returnCode } = await client.expect('connack');
  if (returnCode !== 0) throw new Error(`a login was refused with ${String(returnCode)}`);
  await subscribe(client, { [event_channel as string]: 0 });
  const seen: Event[] = [];
  const over = (async () => {
    for (;;) {
      try {
        const { payload } = await client.expect('publish');
        seen.push(JSON.parse(String(payload)) as Event);
      } catch {
        if (client.isClosed) return;
      }
    }
  })();
  return { name: 'MQTT', seen, over, end: () => client.destroy() };
};
