import type { AuditEntry } from '../machines/audit.ts';
import type { Answer, Effect } from '../machines/effect.ts';
import { ERRORS } from '../machines/error.ts';
import { timestamp, type Event } from '../machines/event.ts';
import type { DeliveryId } from '../machines/id.ts';
import type { Envelope, RequestRef } from '../machines/message.ts';
import type { Hosted, Standing } from './hosted.ts';
import type { ReleasedEffect } from './journal-messages.ts';
import { remember, type Resident } from './resident.ts';
import type { EventHead, OutHead, RememberedHead, SnapshotHead } from './turn-record.ts';

/** What a turn reads of the world; all of it injected. */
export interface TurnSources {
  readonly random: () => number;
  readonly newEventId: () => string;
  readonly newDeliveryId: () => DeliveryId;
}

/**
 * One turn of a shard: collects what its actors decide, and can be undone as a whole until it is recorded. Nothing in
 * here reaches the outside; the record does, once the journal has it.
 */
export interface Turn {
  readonly at: number;
  readonly events: readonly string[];
  readonly eventHeads: readonly EventHead[];
  readonly out: readonly string[];
  readonly outHeads: readonly OutHead[];
  readonly remembered: readonly string[];
  readonly rememberedHeads: readonly RememberedHead[];
  readonly replies: readonly (readonly [request: string, answer: Answer])[];
  readonly effects: readonly (readonly [session: string, effect: ReleasedEffect])[];
  /** Entries of the audit as JSON, in the order in which they were made. */
  readonly audits: readonly string[];
  /** Call before an actor takes its message: keeps the way back. */
  touch(resident: Resident, hosted: Hosted, fresh: boolean): void;
  /** Answers its `seq`. */
  event(resident: Resident, source: string, envelope: Envelope, effect: Extract<Effect, { type: 'event' }>): number;
  audit(resident: Resident, envelope: Envelope, effect: Extract<Effect, { type: 'audit' }>): void;
  /** The first answer to a request counts; a second would be a machine's mistake and is dropped. */
  reply(resident: Resident, request: RequestRef | undefined, answer: Answer): void;
  /** Answers a repeated request as the first was answered. */
  again(request: RequestRef, answer: Answer): void;
  remember(resident: Resident, key: string, json: string): void;
  release(session: string, effect: ReleasedEffect): void;
  send(to: number, n: number, envelope: Envelope, key: string): void;
  /** Snapshots of all touched actors that are not where they were. */
  snapshots(): { heads: SnapshotHead[]; contexts: string[] };
  touched(): Iterable<readonly [Hosted, Resident]>;
  undo(): void;
}

const NOBODY = { principal: null, client_id: null, correlation_id: null, traceparent: null };

export const createTurn = (at: number, sources: TurnSources): Turn => {
  const events: string[] = [];
  const eventHeads: EventHead[] = [];
  const out: string[] = [];
  const outHeads: OutHead[] = [];
  const remembered: string[] = [];
  const rememberedHeads: RememberedHead[] = [];
  const forgetting: (() => void)[] = [];
  const replies: (readonly [string, Answer])[] = [];
  const answered = new Set<string>();
  const effects: (readonly [string, ReleasedEffect])[] = [];
  const audits: string[] = [];
  const before = new Map<Hosted, { readonly resident: Resident; readonly standing: Standing | null }>();
  const seqBefore = new Map<Resident, number>();
  const time = timestamp(at);

  const keep = (resident: Resident): void => {
    if (!seqBefore.has(resident)) seqBefore.set(resident, resident.seq);
  };
  const rememberIt = (resident: Resident, key: string, json: string): void => {
    forgetting.push(remember(resident, key, json));
    remembered.push(json);
    rememberedHeads.push([resident.session, key, at]);
  };

  return {
    at,
    events,
    eventHeads,
    out,
    outHeads,
    remembered,
    rememberedHeads,
    replies,
    effects,
    audits,
    touch: (resident, hosted, fresh) => {
      keep(resident);
      if (!before.has(hosted)) before.set(hosted, { resident, standing: fresh ? null : hosted.standing() });
    },
    event: (resident, source, envelope, effect) => {
      keep(resident);
      const meta = envelope.meta ?? NOBODY;
      const seq = (resident.seq += 1);
      const event: Event = {
        id: sources.newEventId(),
        seq,
        session_id: resident.session,
        type: effect.event,
        timestamp: time,
        data: effect.data,
        metadata: {
          source,
          severity: effect.severity ?? 'info',
          principal: meta.principal,
          client_id: meta.client_id,
          correlation_id: meta.correlation_id,
          causation_id: envelope.request?.id ?? null,
          traceparent: meta.traceparent,
        },
      };
      events.push(JSON.stringify(event));
      eventHeads.push([resident.session, seq, effect.event, effect.subject]);
      return seq;
    },
    audit: ({ session }, envelope, effect) => {
      const { principal, client_id } = envelope.meta ?? NOBODY;
      const entry: AuditEntry = {
        type: effect.audit,
        at,
        session_id: session,
        principal,
        client_id,
        data: effect.data,
      };
      audits.push(JSON.stringify(entry));
    },
    reply: (resident, request, answer) => {
      if (request === undefined || answered.has(request.id)) return;
      answered.add(request.id);
      replies.push([request.id, answer]);
      // What may succeed when it is asked again is not an answer for ever.
      const final = answer.ok || !ERRORS[answer.problem.code].retry;
      if (request.repeat_key !== undefined && final) rememberIt(resident, request.repeat_key, JSON.stringify(answer));
    },
    again: (request, answer) => void replies.push([request.id, answer]),
    remember: rememberIt,
    release: (session, effect) => void effects.push([session, effect]),
    send: (to, n, envelope, key) => {
      out.push(JSON.stringify(envelope));
      outHeads.push([to, n, key]);
    },
    snapshots: () => {
      const heads: SnapshotHead[] = [];
      const contexts: string[] = [];
      for (const [hosted, { standing: was }] of before) {
        const now = hosted.standing();
        if (was !== null && was.context === now.context && was.value === now.value) continue;
        const { deadline, waits, label } = now.context;
        const done = hosted.ended();
        const head = [
          hosted.key,
          hosted.entry.version,
          now.value,
          done ? 1 : 0,
          done ? null : deadline,
          done ? null : waits,
          label,
        ] as const;
        const aliases = hosted.entry.aliases?.(now.context as never);
        heads.push(aliases === undefined || aliases.length === 0 ? head : [...head, aliases]);
        contexts.push(JSON.stringify(now.context));
      }
      return { heads, contexts };
    },
    *touched() {
      for (const [hosted, { resident }] of before) yield [hosted, resident] as const;
    },
    undo: () => {
      for (const [hosted, { resident, standing }] of before) {
        hosted.restore(standing);
        if (standing === null) resident.actors.delete(hosted.key);
      }
      for (const [resident, seq] of seqBefore) resident.seq = seq;
      for (const forget of forgetting.toReversed()) forget();
    },
  };
};
