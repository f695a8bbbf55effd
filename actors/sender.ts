import type { Bus } from '../brokers/bus.ts';
import type { Inbox, InboxNote } from './inbox.ts';

export interface SenderOptions {
  readonly bus: Bus;
  readonly inbox: Inbox;
  readonly onError: (error: unknown) => void;
}

/** How many that were taken may be held before the line is made anew. */
const COMPACT = 1_024;

/**
 * From the gateway and the agents to the inboxes: every message is a publication on the actor's topic, and what comes
 * back from the bus goes to the shard. The bus keeps the order of publications, so notes that do not travel are matched
 * by their place in line.
 */
export interface Sender {
  /** `shown` is what whoever watches the topic is told; default the text itself. */
  send(topic: string, text: string, note: InboxNote, shown?: string): void;
  /** The bus's listener on all inboxes. */
  arrived(topic: string, payload: Uint8Array): void;
}

export const createSender = ({ bus, inbox, onError }: SenderOptions): Sender => {
  let underWay: { readonly topic: string; readonly text: string; readonly note: InboxNote }[] = [];
  let first = 0;

  /**
   * Takes the next on this topic, and those before it: what the bus did not carry in its turn it has refused, and it is
   * told of here in its place all the same. The bus is who may watch, not what makes a message arrive.
   */
  const take = (topic: string): void => {
    let next = first;
    while (next < underWay.length && underWay[next]?.topic !== topic) next += 1;
    // Nobody else may publish here (the gateway's access policy); what does is not ours to take.
    if (next === underWay.length) return;
    const taken = underWay.slice(first, next + 1);
    first = next + 1;
    if (first === underWay.length || first > COMPACT) {
      underWay = underWay.slice(first);
      first = 0;
    }
    for (const { topic: to, text, note } of taken) {
      const [, , , shard, ...key] = to.split('/');
      inbox.push(Number(shard), key.join('/'), text, note);
    }
  };

  return {
    send: (topic, text, note, shown = text) => {
      underWay.push({ topic, text, note });
      bus.publish(topic, shown).catch((error: unknown) => {
        onError(error);
        take(topic);
      });
    },
    arrived: take,
  };
};
