import type { Bus } from '../brokers/bus.ts';
import type { Inbox, InboxNote } from './inbox.ts';

export interface SenderOptions {
  readonly bus: Bus;
  readonly inbox: Inbox;
  readonly onError: (error: unknown) => void;
}

/**
 * From the gateway and the agents to the inboxes: every message is a publication on the actor's topic, and what comes
 * back from the bus goes to the shard. The bus keeps the order of publications, so notes that do not travel are matched
 * by their place in line.
 */
export interface Sender {
  send(topic: string, text: string, note: InboxNote): void;
  /** The bus's listener on all inboxes. */
  arrived(topic: string, payload: Uint8Array): void;
}

export const createSender = ({ bus, inbox, onError }: SenderOptions): Sender => {
  let underWay: { readonly topic: string; readonly text: string; readonly note: InboxNote }[] = [];
  let first = 0;

  return {
    send: (topic, text, note) => {
      underWay.push({ topic, text, note });
      bus.publish(topic, text).catch(onError);
    },
    arrived: (topic) => {
      const mine = underWay[first];
      // Nobody else may publish here (the gateway's access policy); what does is not ours to take.
      if (mine === undefined || mine.topic !== topic) return;
      first += 1;
      if (first === underWay.length) {
        underWay = [];
        first = 0;
      }
      const [, , , shard, ...key] = topic.split('/');
      inbox.push(Number(shard), key.join('/'), mine.text, mine.note);
    },
  };
};
