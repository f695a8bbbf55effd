import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { generate, type Packet } from 'mqtt-packet';
import { WebSocket } from 'ws';
import { CONNECT, dialTcp, subscribe, within } from './mqtt-wire.ts';
import type { Json, ServerProcess } from './server.ts';

/** Somebody who follows all events of a session and stops reading at once, without a word. */
export interface Frozen {
  readonly name: string;
  end(): void;
}

/** Each has a client id of its own, so that none takes over the connection of another. */
let numbered = 0;

const overTcp = async (server: ServerProcess, { client_id, client_token, event_channel }: Json): Promise<Frozen> => {
  const client = await dialTcp(server.mqttPort);
  client.send({
    ...CONNECT,
    clientId: `${client_id}:frozen-${(numbered += 1)}`,
    username: client_id,
    password: client_token,
  });
  await client.expect('connack');
  await subscribe(client, { [event_channel]: 1 });
  client.stream.pause();
  return { name: 'TCP', end: () => client.destroy() };
};

const overWebSocket = async (server: ServerProcess, registration: Json): Promise<Frozen> => {
  const { client_id, client_token, event_channel } = registration as Record<string, string>;
  const socket = new WebSocket(`${server.http.replace('http', 'ws')}/mqtt`, 'mqtt');
  // That it is cut in the end is what it is for.
  socket.on('error', () => {});
  const send = (packet: object): void => socket.send(generate(packet as Packet));
  await within('a WebSocket', once(socket, 'open'));
  send({ ...CONNECT, clientId: `${client_id}:frozen-${(numbered += 1)}`, username: client_id, password: client_token });
  await within('connack', once(socket, 'message'));
  send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: event_channel, qos: 0 }] });
  await within('suback', once(socket, 'message'));
  socket.pause();
  return { name: 'WebSocket', end: () => socket.terminate() };
};

const overSse = async (server: ServerProcess, { session_id, client_token }: Json): Promise<Frozen> => {
  const headers = { authorization: `Bearer ${client_token}`, accept: 'text/event-stream' };
  const request = get(`${server.http}/v1/sessions/${session_id}/events`, { headers, agent: false });
  request.on('error', () => {});
  // Nobody takes its data: it stops reading when its own buffer is full.
  const [answer] = (await within('a stream', once(request, 'response'))) as [IncomingMessage];
  answer.on('error', () => {});
  return { name: 'server-sent events', end: () => void request.destroy() };
};

/** One over each binding that sends events by itself. */
export const freeze = (server: ServerProcess, registration: Json): Promise<Frozen[]> =>
  Promise.all([overTcp(server, registration), overWebSocket(server, registration), overSse(server, registration)]);

/** A figure of `/metrics`; 0 where there is none. */
export const figure = async (server: ServerProcess, name: string): Promise<number> => {
  const { text } = await server.call('GET', '/metrics', { token: null });
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
};
