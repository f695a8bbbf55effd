import { randomBytes } from 'node:crypto';
import type { Agents } from '../../actors/agents.ts';
import type { Deliveries, DeliveriesParts } from '../../actors/deliveries.ts';
import { chainAudit, createAuditVerifier, EMPTY_CHAIN } from '../../actors/audit-chain.ts';
import { createPageBuilder } from '../../actors/event-page.ts';
import { createIdentifiers } from '../../actors/identifiers.ts';
import type { Journal, KeyStore, StoredKey } from '../../actors/journal.ts';
import { shardOf } from '../../actors/placement.ts';
import type { Reads, StoredActor, StoredAudit } from '../../actors/reads.ts';
import { isOwnActor, type Resident } from '../../actors/resident.ts';
import { createShard, type Shard, type Step } from '../../actors/shard.ts';
import { SHARD_LIMITS } from '../../actors/shard-messages.ts';
import { createTurnTaker } from '../../actors/shard-turn.ts';
import type { ReleasedEvent, Readiness, System } from '../../actors/system.ts';
import type { Bus } from '../../brokers/bus.ts';
import { createMemoryBus } from '../../brokers/memory.ts';
import { addressKey, addressOf, deliveryAddress, executionAddress } from '../../machines/address.ts';
import type { AuditEntry } from '../../machines/audit.ts';
import { catalogue } from '../../machines/catalogue.ts';
import type { Answer, DeliveryAttempt, Run } from '../../machines/effect.ts';
import type { Envelope, ExecutionMessage } from '../../machines/message.ts';
import type { DeliveryMessage } from '../../machines/webhook-message.ts';
import { eventTopic } from '../../machines/topic.ts';

/** A ring in one thread and in memory: the real machines and the real turn, without journal and threads. */
export interface TestSystem extends System {
  readonly keys: KeyStore;
  readonly note: Journal['note'];
  /** The audit, in its order. */
  audited(): readonly AuditEntry[];
  /** Runs that were handed to the agents and have not been reported on, by execution. */
  readonly runs: ReadonlyMap<string, Run>;
  /** Places that are reserved. */
  readonly reserved: ReadonlySet<string>;
  /** Attempts that nobody delivers are kept here, in order; `deliver` takes them over. */
  readonly attempts: DeliveryAttempt[];
  /** Sends attempts to who delivers, from here on. */
  deliver(make: (parts: DeliveriesParts) => Deliveries): void;
  /** Reports on a delivery as the deliverer would. */
  delivered(delivery: string, message: DeliveryMessage): void;
  /** Wakes all whose deadline has come. */
  wake(): void;
  /** Reports on an execution as an agent would. */
  report(execution: string, message: ExecutionMessage): void;
  complete(execution: string, result: unknown): void;
  /** What the next `ask` is answered with, without reaching any actor. */
  answerNext(answer: Answer): void;
  readonly told: readonly Envelope[];
  readiness: () => Readiness;
  setReadiness(readiness: Readiness): void;
  /** Adds milliseconds to the clock. */
  advance(ms: number): void;
  setQueued(count: number): void;
  /** Forgets a session's events up to a `seq`, as retention does. */
  forget(session: string, seq: number): void;
  /** How often each read was made. */
  readonly readCounts: Record<keyof Reads, number>;
}

export const createTestSystem = (bus: Bus = createMemoryBus()): TestSystem => {
  const newId = createIdentifiers(Date.now);
  const residents = new Map<string, Resident>();
  const shards = new Map<number, Shard>();
  const actors = new Map<string, StoredActor & { readonly label: string | null }>();
  const events = new Map<string, { readonly seq: number; readonly type: string; readonly json: string }[]>();
  const firsts = new Map<string, number>();
  const listeners = new Set<(event: ReleasedEvent) => void>();
  const cutters = new Set<(client: string) => void>();
  const answers = new Map<string, (answer: Answer) => void>();
  const runs = new Map<string, Run>();
  const reserved = new Set<string>();
  const attempts: DeliveryAttempt[] = [];
  let deliveries: Deliveries | null = null;
  const told: Envelope[] = [];
  const storedKeys = new Map<string, StoredKey>();
  const aliases = new Map<string, string>();
  const auditKey = randomBytes(32);
  const records: StoredAudit[] = [];
  const readCounts = {
    actor: 0,
    actors: 0,
    find: 0,
    alias: 0,
    labelled: 0,
    events: 0,
    auditRecords: 0,
    verifyAudit: 0,
  };
  let readiness: Readiness = { ready: true };
  let planned: Answer | null = null;
  let ahead = 0;
  let queued = 0;
  const now = (): number => Date.now() + ahead;

  const taker = createTurnTaker({
    catalogue,
    limits: SHARD_LIMITS,
    clock: now,
    sources: { random: Math.random, newEventId: () => newId('event'), newDeliveryId: () => newId('delivery') },
    residents,
    taking: () => {},
  });

  const record = (texts: readonly string[]): void => {
    records.push(...chainAudit(auditKey, records.at(-1) ?? EMPTY_CHAIN, texts));
  };

  // As it would look after its way over the bus.
  const step = (envelope: Envelope): void =>
    take(envelope.to.session, {
      kind: 'input',
      sender: 'test',
      n: 1,
      key: addressKey(envelope.to),
      envelope: JSON.parse(JSON.stringify(envelope)) as Envelope,
    });

  const take = (of: string, what: Step): void => {
    const shardIndex = shardOf(of);
    const shard = shards.get(shardIndex) ?? createShard(shardIndex, SHARD_LIMITS);
    shards.set(shardIndex, shard);
    const { turn } = taker.take(shard, [what]);
    // As its host does, so that it can begin anew.
    for (const [hosted, resident] of turn.touched())
      if (hosted.ended() && !isOwnActor(resident, hosted)) resident.actors.delete(hosted.key);
    const { heads, contexts } = turn.snapshots();
    record(turn.audits);
    for (const [index, [key, , state, done, , , label, further = []]] of heads.entries()) {
      for (const alias of further) if (!aliases.has(alias)) aliases.set(alias, key);
      const context = JSON.parse(contexts[index] as string) as Record<string, unknown>;
      actors.set(key, { key, ...addressOf(key), state, done: done === 1, context, label });
    }
    for (const [index, [session, seq, type, subject]] of turn.eventHeads.entries()) {
      const json = turn.events[index] as string;
      const log = events.get(session) ?? [];
      events.set(session, log);
      log.push({ seq, type, json });
      for (const listener of listeners) listener({ session, seq, type, subject, json });
      // What is told last may come after the bus is closed.
      bus.publish(eventTopic(session as never, type, subject), json, { qos: 1 }).catch(() => {});
    }
    for (const [session, effect] of turn.effects) {
      if (effect.type === 'run') runs.set(effect.run.execution_id, effect.run);
      else if (effect.type === 'deliver') {
        const index = turn.eventHeads.findIndex(([id, seq]) => id === session && seq === effect.attempt.seq);
        if (deliveries === null) attempts.push(effect.attempt);
        else deliveries.deliver(effect.attempt, { session: session as never }, turn.events[index] ?? null);
      } else if (effect.type === 'webhook') deliveries?.changed(effect.webhook_id, { session: session as never });
      else if (effect.type === 'stop') runs.delete(effect.execution_id);
      else if (effect.type === 'cut') for (const cutter of cutters) cutter(effect.client_id);
      else if (effect.type === 'enqueue')
        queueMicrotask(() =>
          step({ to: executionAddress(session as never, effect.execution_id), message: { type: 'execution.start' } }),
        );
    }
    for (const [request, answer] of turn.replies) answers.get(request)?.(answer);
  };

  const page = (list: StoredActor[], { after = '', limit }: { after?: string; limit: number }): StoredActor[] =>
    list
      .filter(({ id }) => id > after)
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit);
  const read = <T>(which: keyof Reads, value: () => T): Promise<T> => {
    readCounts[which] += 1;
    return new Promise((resolve) => setImmediate(() => resolve(value())));
  };
  const reads: Reads = {
    actor: (key) => read('actor', () => actors.get(key) ?? null),
    actors: (session, kind, of) =>
      read('actors', () =>
        page(
          [...actors.values()].filter((actor) => actor.session === session && actor.kind === kind),
          of,
        ),
      ),
    find: (kind, id) =>
      read('find', () => [...actors.values()].find((actor) => actor.kind === kind && actor.id === id) ?? null),
    alias: (alias) => read('alias', () => actors.get(aliases.get(alias) ?? '') ?? null),
    labelled: (kind, label, of) =>
      read('labelled', () =>
        page(
          [...actors.values()].filter((actor) => actor.kind === kind && actor.label === label),
          of,
        ),
      ),
    events: (session, { after, limit, types }) =>
      read('events', () => {
        const log = events.get(session) ?? [];
        const builder = createPageBuilder(after, limit);
        let full = false;
        for (const { seq, type, json } of log) {
          if (full || seq <= after || (types !== undefined && !types.includes(type))) continue;
          full = !builder.add(seq, json);
        }
        const last = log.at(-1)?.seq ?? 0;
        if (!full) builder.pass(last);
        return builder.finish(firsts.get(session) ?? 1, last);
      }),
    auditRecords: ({ after, limit }) =>
      read('auditRecords', () => {
        const items = records.slice(after, after + limit);
        const last = items.at(-1)?.n ?? after;
        return { items, next: last < records.length ? last : null };
      }),
    verifyAudit: (head) =>
      read('verifyAudit', () => {
        const verifier = createAuditVerifier(auditKey, head);
        for (const each of records) verifier.take(each);
        return verifier.finish();
      }),
  };
  const agents: Agents = {
    reserve: (id) => {
      reserved.add(id);
      return true;
    },
    release: (id) => void reserved.delete(id),
    enqueue: () => {},
    run: () => {},
    stop: () => {},
    has: () => false,
    depth: () => ({ queued, reserved: reserved.size, running: runs.size }),
    close: async () => {},
  };
  const report = (execution: string, message: ExecutionMessage): void => {
    const stored = [...actors.values()].find(({ id }) => id === execution);
    if (stored === undefined) throw new Error(`no execution ${execution}`);
    runs.delete(execution);
    step({ to: executionAddress(stored.session, execution), message });
  };

  return {
    bus,
    reads,
    agents,
    newId,
    now,
    runs,
    reserved,
    told,
    readCounts,
    report,
    attempts,
    delivered: (delivery, message) => {
      const stored = [...actors.values()].find(({ id }) => id === delivery);
      if (stored === undefined) throw new Error(`no delivery ${delivery}`);
      step({ to: deliveryAddress(stored.session, delivery), message });
    },
    deliver: (make) => {
      deliveries = make({
        reads,
        now,
        report: (delivery, { session }, message) => {
          step({ to: deliveryAddress(session, delivery), message });
          return { committed: Promise.resolve() };
        },
      });
    },
    wake: () => {
      for (const { key, session, done, context } of [...actors.values()])
        if (!done && ((context['deadline'] as number | null) ?? Infinity) <= now())
          take(session, { kind: 'deadline', key });
    },
    keys: {
      list: async () => [...storedKeys.values()],
      find: async (id) => storedKeys.get(id) ?? null,
      put: async (key, entry) => {
        storedKeys.set(key.id, key);
        if (entry !== undefined) record([JSON.stringify(entry)]);
      },
    },
    note: async (entries) => record(entries.map((entry) => JSON.stringify(entry))),
    audited: () => records.map(({ text }) => JSON.parse(text) as AuditEntry),
    ask: async (envelope) => {
      if (planned !== null) {
        const answer = planned;
        planned = null;
        return answer;
      }
      const { promise, resolve } = Promise.withResolvers<Answer>();
      const id = envelope.request?.id ?? newId('request');
      answers.set(id, resolve);
      // After the caller has gone on, as over a bus.
      setImmediate(() => step({ ...envelope, request: { ...envelope.request, id } }));
      return promise;
    },
    tell: (envelope) => {
      told.push(envelope);
      setImmediate(() => step(envelope));
      return true;
    },
    onEvent: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onCut: (listener) => {
      cutters.add(listener);
      return () => void cutters.delete(listener);
    },
    presumedAttached: () => [],
    readiness: () => readiness,
    setReadiness: (next) => {
      readiness = next;
    },
    close: async () => bus.close(),
    complete: (execution, result) =>
      report(execution, {
        type: 'execution.complete',
        start: runs.get(execution)?.start ?? 1,
        result,
        artifacts: [],
      }),
    answerNext: (answer) => {
      planned = answer;
    },
    advance: (ms) => {
      ahead += ms;
    },
    setQueued: (count) => {
      queued = count;
    },
    forget: (session, seq) => {
      events.set(
        session,
        (events.get(session) ?? []).filter((event) => event.seq > seq),
      );
      firsts.set(session, seq + 1);
    },
  };
};
