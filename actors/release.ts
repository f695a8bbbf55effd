import { addressOf } from '../machines/address.ts';
import { eventTopic } from '../machines/topic.ts';
import type { Bus } from '../brokers/bus.ts';
import type { Agents } from './agents.ts';
import type { Asks } from './asks.ts';
import type { Deliveries } from './deliveries.ts';
import { MAIN_SENDER, type Inbox } from './inbox.ts';
import type { JournalNotice, Release, ReleasedEffect } from './journal-messages.ts';
import type { Observer } from './observer.ts';
import type { Outboxes } from './outboxes.ts';
import type { ReleasedEvent } from './system.ts';
import { decodeTurns, type TurnRecord } from './turn-record.ts';

export interface ReleaserOptions {
  readonly bus: Bus;
  readonly inbox: Inbox;
  readonly outboxes: Outboxes;
  readonly agents: Agents;
  readonly deliveries: () => Deliveries;
  readonly asks: Asks;
  readonly observer: Observer;
  readonly onEvent: (event: ReleasedEvent) => void;
  readonly onCut: (client: string) => void;
  /** What a group speaks of, for reads that have to see it: sessions and the ids of actors. */
  readonly onMention: (group: number, mention: string) => void;
}

/** The only door: lets out what is committed, in commit order (ring, rule 5). */
export const createReleaser = (
  options: ReleaserOptions,
): ((notice: Extract<JournalNotice, { type: 'released' }>) => void) => {
  const { bus, inbox, outboxes, agents, deliveries, asks, observer, onEvent, onCut, onMention } = options;
  const failed = (error: unknown): void => observer.error('an event could not be published', error);

  const events = ({ head, events: lines }: TurnRecord, group: number): Promise<void> | null => {
    let last: Promise<void> | null = null;
    for (const [index, [session, seq, type, subject]] of head.events.entries()) {
      const json = lines[index] as string;
      onMention(group, session);
      // The house hears first: deliveries are decided by what is committed, the event that is delivered included.
      onEvent({ session, seq, type, subject, json });
      last = bus.publish(eventTopic(session as never, type, subject), json, { qos: 1 });
      last.catch(failed);
      if (type === 'actor_restarted') observer.restarted('actor', subject);
      if (type === 'actor_failed') observer.failed('actor', subject);
    }
    for (const [key] of head.snapshots) {
      const { session, id } = addressOf(key);
      onMention(group, session);
      onMention(group, id);
    }
    return last;
  };

  const effect = (
    session: string,
    released: ReleasedEffect,
    announced: Promise<void> | null,
    record: TurnRecord,
  ): void => {
    const place = { session: session as never };
    switch (released.type) {
      case 'run':
        return agents.run(released.run, place);
      case 'enqueue':
        return agents.enqueue(released.execution_id, place, released.priority);
      case 'stop':
        return agents.stop(released.execution_id, released.reason);
      case 'deliver': {
        const { attempt } = released;
        return deliveries().deliver(attempt, place, eventOf(record, session, attempt.seq));
      }
      case 'webhook':
        return deliveries().changed(released.webhook_id, place);
      case 'cut': {
        // A client hears why before its connections end.
        const { client_id } = released;
        if (announced === null) return onCut(client_id);
        return void announced.then(
          () => onCut(client_id),
          () => onCut(client_id),
        );
      }
    }
  };

  const turn = (record: TurnRecord, release: Release, group: number): void => {
    const { head } = record;
    const announced = events(record, group);
    outboxes.released(record);
    for (const [session, released] of release.effects) effect(session, released, announced, record);
    for (const [request, answer] of release.replies) asks.answer(request, answer);
    const read = head.read[MAIN_SENDER];
    if (read !== undefined) inbox.read(head.shard, read);
    observer.turn(release.tookMs, release.inputs);
  };

  return ({ group, texts, releases, commitMs }) => {
    let size = 0;
    for (const [index, text] of texts.entries()) {
      size += text.length;
      for (const record of decodeTurns(text)) turn(record, releases[index] as Release, group);
    }
    observer.commit(commitMs, texts.length, size);
  };
};

/** An event of this very turn; null where it is an earlier one. A session's events of a turn are dense. */
const eventOf = ({ head, events }: TurnRecord, session: string, seq: number): string | null => {
  const index = head.events.findIndex(([of, number]) => of === session && number === seq);
  return events[index] ?? null;
};
