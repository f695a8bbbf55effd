import { ProblemError } from '../../machines/error.ts';
import type { Event } from '../../machines/event.ts';
import { isId } from '../../machines/id.ts';
import { eventFilter, repliesTopic, requestsTopic } from '../../machines/topic.ts';
import type { Operation } from '../operations/operation.ts';
import { OPERATION_TABLE } from '../operations/table.ts';
import { createMethods, type Call, type Client } from './client.ts';
import type { EventFeed, FeedListener } from './event-feed.ts';
import { unreachable } from './failure.ts';
import { followEvents, type FollowOptions } from './follow.ts';
import { openMqttConnection, type MqttConnection, type OpenMqtt } from './mqtt-connection.ts';
import { createMqttLink } from './mqtt-link.ts';
import { createRpc } from './rpc.ts';

export interface MqttClientOptions {
  /** `mqtt://`, `mqtts://`, or over WebSocket `ws://…/mqtt`, `wss://…/mqtt`. */
  readonly url: string;
  /** The client's id, which logs in with its token. */
  readonly clientId: string;
  readonly token: string;
  readonly session: string;
  /** Milliseconds for an answer, beside what the call itself waits for; default 15,000. */
  readonly timeoutMs?: number;
  /** Opens a connection; default over the network. */
  readonly open?: OpenMqtt;
}

/** The gateway over MQTT 3.1.1, as one client of one session. */
export interface MqttClient extends Client {
  /** The session's events after a `seq`: replayed, then as they happen. */
  follow(options?: FollowOptions): AsyncGenerator<Event, void, undefined>;
  /** Ends the connection; what waits is rejected. */
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 15_000;
/** Seconds for which the server waits where the input does not say (contract, section 2). */
const DEFAULT_WAIT = 30;

const unique = (): string =>
  [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/**
 * Makes a client of the MQTT binding. It connects by itself and anew when it is cut off; calls that wait are then sent
 * again under the same request id, which the server answers alike. Every call has its deadline, connected or not.
 */
export const createMqttClient = (options: MqttClientOptions): MqttClient => {
  const { url, clientId, token, session, timeoutMs = DEFAULT_TIMEOUT_MS, open = openMqttConnection } = options;
  if (!isId('session', session)) throw new TypeError(`session: expected the id of a session, got ${session}`);
  if (!isId('client', clientId)) throw new TypeError(`clientId: expected the id of a client, got ${clientId}`);
  const [requests, replies, events] = [
    requestsTopic(session, clientId),
    repliesTopic(session, clientId),
    eventFilter(session),
  ];
  const eventPrefix = events.slice(0, -1);
  // A suffix of its own, so that two windows of one client do not take over each other's connection.
  const suffix = unique();
  const decoder = new TextDecoder();
  const listeners = new Set<FeedListener>();
  let connection: MqttConnection | null = null;
  let ended: ProblemError | null = null;

  const rpc = createRpc({
    idPrefix: suffix,
    send: (text) => connection?.publish(requests, text),
  });

  const lose = (error: unknown): void => {
    const all = [...listeners];
    listeners.clear();
    for (const listener of all) listener.lost(error);
  };

  const link = createMqttLink({
    open,
    login: { url, clientId: `${clientId}:${suffix}`, username: clientId, password: token, timeoutMs },
    message: (topic, payload) => {
      let value: unknown;
      try {
        value = JSON.parse(decoder.decode(payload));
      } catch {
        // Not from the gateway. Were it an event, its absence would show in the sequence.
        return;
      }
      if (topic === replies) rpc.receive(value);
      else if (topic.startsWith(eventPrefix)) for (const listener of listeners) listener.event(value as Event);
    },
    begin: async (opened) => {
      await opened.subscribe(replies);
    },
    up: (opened) => {
      connection = opened;
      rpc.repeat();
    },
    down: () => {
      connection = null;
      lose(unreachable('the MQTT connection was lost'));
    },
    failed: (error) => {
      connection = null;
      ended = error instanceof ProblemError ? error : unreachable('the MQTT connection failed', error);
      rpc.fail(ended);
      lose(ended);
    },
  });

  const call: Call = (name, input: Readonly<Record<string, unknown>>, limits = {}) => {
    const operation = OPERATION_TABLE[name] as unknown as Operation;
    if (!operation.bindings.includes('mqtt'))
      return Promise.reject(new ProblemError('method_not_found', `${name} is offered over HTTP only`));
    if (ended !== null) return Promise.reject(ended);
    const wait = input['wait'] ?? (name === 'commands.execute' ? DEFAULT_WAIT : 0);
    return rpc.call(name, input, {
      signal: limits.signal,
      timeoutMs: (limits.timeoutMs ?? timeoutMs) + (typeof wait === 'number' ? wait * 1000 : 0),
    }) as Promise<never>;
  };

  const feed: EventFeed = {
    replays: false,
    list: (after, limit, signal) => call('events.list', { session_id: session, after, limit }, { signal }),
    open: async (_, listener) => {
      if (ended !== null) throw ended;
      const opened = connection;
      if (opened === null) throw unreachable('there is no MQTT connection now');
      // Before the subscription, since what comes first may come with it.
      listeners.add(listener);
      try {
        await opened.subscribe(events);
      } catch (error) {
        listeners.delete(listener);
        throw error;
      }
      if (connection !== opened) throw unreachable('the MQTT connection was lost');
      return { close: () => void listeners.delete(listener) };
    },
  };

  return {
    ...createMethods(call),
    call,
    follow: (follow) => followEvents(feed, follow),
    close: () => {
      ended ??= unreachable('the client is closed');
      rpc.fail(ended);
      lose(ended);
      link.close();
    },
  };
};
