import { pause, reconnectDelay } from './backoff.ts';
import { isRetryable } from './failure.ts';
import type { MqttConnection, MqttLogin, OpenMqtt } from './mqtt-connection.ts';

export interface MqttLinkOptions {
  readonly open: OpenMqtt;
  readonly login: MqttLogin;
  message(topic: string, payload: Uint8Array): void;
  /** A new connection: subscribes to what is needed. It counts as up when this resolves. */
  begin(connection: MqttConnection): Promise<void>;
  /** It is up. */
  up(connection: MqttConnection): void;
  /** It was up and is gone. */
  down(): void;
  /** There will be none again: the credentials are dead, or a subscription that is needed is refused. */
  failed(error: unknown): void;
  readonly random?: () => number;
}

/** A connection that is made anew whenever it is lost, until it is closed or refused. */
export interface MqttLink {
  close(): void;
}

export const createMqttLink = (options: MqttLinkOptions): MqttLink => {
  const over = new AbortController();
  let current: MqttConnection | null = null;

  /** One connection from its beginning to its end. Rejects where it never came up. */
  const live = async (): Promise<void> => {
    const { promise: gone, resolve: closed } = Promise.withResolvers<void>();
    let isGone = false;
    const connection = await options.open(options.login, {
      message: options.message,
      closed: () => {
        isGone = true;
        closed();
      },
    });
    current = connection;
    try {
      if (over.signal.aborted) return;
      await options.begin(connection);
      if (isGone || over.signal.aborted) return;
      options.up(connection);
      await gone;
      options.down();
    } finally {
      current = null;
      connection.close();
    }
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!over.signal.aborted) {
      const startedAt = performance.now();
      try {
        await live();
      } catch (error) {
        if (!isRetryable(error)) return options.failed(error);
      }
      // A connection that held longer than any delay was good.
      failures = performance.now() - startedAt > 15_000 ? 1 : failures + 1;
      await pause(reconnectDelay(failures, options.random), over.signal);
    }
  };
  void run();

  return {
    close: () => {
      over.abort();
      current?.close();
    },
  };
};
