import type { MqttClient as Wire } from 'mqtt';
import { ProblemError } from '../../machines/error.ts';
import { deadlinePassed, unreachable } from './failure.ts';

export interface MqttLogin {
  /** `mqtt://`, `mqtts://`, `ws://` or `wss://`. */
  readonly url: string;
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
  /** Milliseconds for the connection and for each subscription. */
  readonly timeoutMs: number;
}

export interface MqttListener {
  message(topic: string, payload: Uint8Array): void;
  /** The connection is gone; once, and nothing follows. */
  closed(): void;
}

/** One connection. It is never repaired: a new one begins with nothing left over from the old. */
export interface MqttConnection {
  /** QoS 1. What becomes of it shows in the reply alone: PUBACK means only that the broker has it. */
  publish(topic: string, payload: string): void;
  /** QoS 1. Rejects with a `ProblemError` where the filter is refused, or at the deadline. */
  subscribe(filter: string): Promise<void>;
  close(): void;
}

export type OpenMqtt = (login: MqttLogin, listener: MqttListener) => Promise<MqttConnection>;

/** CONNACK's code for credentials that are not taken (MQTT 3.1.1, table 3.1). */
const BAD_CREDENTIALS = new Set([4, 5]);
/** SUBACK's code for a refused filter (MQTT 3.1.1, 3.9.3). */
const REFUSED = 0x80;
const KEEPALIVE_S = 30;

const failureOf = (url: string, error: Error & { readonly code?: unknown }): ProblemError =>
  typeof error.code === 'number' && BAD_CREDENTIALS.has(error.code)
    ? new ProblemError('unauthenticated', 'the MQTT login was refused', { cause: error })
    : unreachable(`no connection to ${url}`, error);

/** Rejects with the deadline's problem unless `start` settles in time: mqtt.js calls back only while it is connected. */
const within = <T>(
  ms: number,
  what: string,
  start: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
) =>
  new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(deadlinePassed(what, ms)), ms);
    const settle =
      <Value>(then: (value: Value) => void) =>
      (value: Value): void => {
        clearTimeout(timer);
        then(value);
      };
    start(settle(resolve), settle(reject));
  });

/**
 * Connects and logs in. Rejects with `unauthenticated` where the login is refused, `unavailable` where there is no
 * connection, `timed_out` at the deadline.
 */
export const openMqttConnection: OpenMqtt = async (login, listener) => {
  const { url, clientId, username, password, timeoutMs } = login;
  const { default: mqtt } = await import('mqtt');
  const wire: Wire = mqtt.connect(url, {
    clientId,
    username,
    password,
    protocolVersion: 4,
    clean: true,
    keepalive: KEEPALIVE_S,
    reconnectPeriod: 0,
    connectTimeout: timeoutMs,
    resubscribe: false,
    queueQoSZero: false,
  });
  let failure: ProblemError = unreachable(`no connection to ${url}`);
  let isOpen = false;
  const close = (): void => void wire.end(true);
  // Without a listener an error would end the process; it is always followed by `close`.
  wire.on('error', (error) => {
    failure = failureOf(url, error);
  });
  try {
    await within<void>(timeoutMs, `the MQTT login at ${url}`, (resolve, reject) => {
      wire.once('connect', () => {
        isOpen = true;
        resolve();
      });
      wire.once('close', () => {
        if (isOpen) listener.closed();
        else reject(failure);
      });
    });
  } catch (error) {
    close();
    throw error;
  }
  wire.on('message', (topic, payload) => listener.message(topic, payload));

  return {
    publish: (topic, payload) => {
      wire.publish(topic, payload, { qos: 1 }, () => undefined);
    },
    subscribe: (filter) =>
      within<void>(timeoutMs, `the subscription to ${filter}`, (resolve, reject) => {
        wire.subscribe(filter, { qos: 1 }, (error, _, packet) => {
          // What was granted is in the packet alone; beside an error, the second argument is what was asked for.
          if (packet?.granted.includes(REFUSED))
            reject(new ProblemError('security_violation', `the subscription to ${filter} was refused`));
          else if (error !== null) reject(unreachable(`the subscription to ${filter} was lost`, error));
          else resolve();
        });
      }),
    close,
  };
};
