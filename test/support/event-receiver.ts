import type { ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import type { Event } from '../../machines/event.ts';
import { startReceiver, type Received } from './webhook-receiver.ts';

/** An event as it came to a webhook. */
export interface ReceivedEvent {
  /** Its `webhook-id`. */
  readonly id: string;
  readonly path: string;
  readonly event: Event;
  /** Whether it is signed with this secret. */
  verifies(secret: string): boolean;
}

/** Somebody who receives the events of sessions, on a port of its own. */
export interface EventReceiver extends AsyncDisposable {
  readonly url: string;
  /** All so far, in order. */
  received(): readonly ReceivedEvent[];
  /** Status of the answers from here on; null for no answer at all. */
  answer(status: number | null, headers?: Record<string, string>): void;
}

const eventOf = ({ path = '', headers, body }: Received): ReceivedEvent => ({
  id: String(headers['webhook-id']),
  path,
  event: JSON.parse(body) as Event,
  verifies: (secret) => {
    try {
      new Webhook(secret).verify(body, headers as Record<string, string>);
      return true;
    } catch {
      return false;
    }
  },
});

export const openEventReceiver = async (): Promise<EventReceiver> => {
  let next = (response: ServerResponse): void => void response.writeHead(204).end();
  const receiver = await startReceiver((_, response) => next(response));
  const events: ReceivedEvent[] = [];
  return {
    url: `${receiver.url}/hook`,
    received: () => {
      events.push(...receiver.received.slice(events.length).map(eventOf));
      return events;
    },
    answer: (status, headers = {}) => {
      next = (response) => {
        if (status !== null) response.writeHead(status, headers).end();
      };
    },
    [Symbol.asyncDispose]: receiver.close,
  };
};
