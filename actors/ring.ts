import { addressKey, addressOf, deliveryAddress, executionAddress } from '../machines/address.ts';
import { problem } from '../machines/error.ts';
import type { ClientId, DeliveryId, SessionId, WebhookId } from '../machines/id.ts';
import { masked } from '../machines/mask.ts';
import type { Envelope, SessionMessage } from '../machines/message.ts';
import { INBOX_FILTER, inboxTopic } from '../machines/topic.ts';
import type { Bus } from '../brokers/bus.ts';
import type { Address } from '../machines/address.ts';
import type { Agents, Report } from './agents.ts';
import { createAsks } from './asks.ts';
import { anchoredClock, clockAnchor } from './clock.ts';
import { NO_DELIVERIES, type Deliveries, type DeliveriesParts } from './deliveries.ts';
import { createIdentifiers } from './identifiers.ts';
import { createDoubts, withoutDoubtful } from './doubts.ts';
import { createHeard, readsCaughtUp } from './heard.ts';
import { createInbox, type InboxNote } from './inbox.ts';
import { StoreFailedError, type Claim, type Journal, type KeyStore } from './journal.ts';
import type { JournalNotice } from './journal-messages.ts';
import { createMentions } from './mentions.ts';
import { SILENT, type Observer } from './observer.ts';
import { createOutboxes } from './outboxes.ts';
import { SHARDS, shardOf } from './placement.ts';
import { createReleaser } from './release.ts';
import { threadedParts, type RingParts } from './ring-parts.ts';
import { createSender } from './sender.ts';
import type { ShardLimits } from './shard-messages.ts';
import { SHARD_LIMITS } from './shard-messages.ts';
import { createSupervisor, type SupervisorLimits } from './supervisor.ts';
import type { PresumedClient, ReleasedEvent, Readiness, System } from './system.ts';

export interface RingOptions {
  readonly bus: Bus;
  /** Where the journal lives; it exists. */
  readonly directory: string;
  /** Makes the agent pool once the ring can take its reports. */
  readonly agents: (report: Report) => Agents;
  /** Makes who carries events to endpoints; default nobody. */
  readonly deliveries?: (parts: DeliveriesParts) => Deliveries;
  /** Threads that host shards. */
  readonly workers: number;
  readonly observer?: Observer;
  /** Module that exports the `catalogue` of machines; default `machines/catalogue`. */
  readonly catalogue?: string;
  readonly shard?: Partial<ShardLimits>;
  readonly supervisor?: Partial<SupervisorLimits>;
  /** Messages that may wait for one logical shard before the edge refuses, half of them one session's; default 2,000. */
  readonly inboxPerShard?: number;
  /** The journal thread ended by itself: the process has to be started again. */
  readonly onFatal?: (error: Error) => void;
  /** Where the shards and the journal run; default on threads, with a file. */
  readonly parts?: RingParts;
}

/** The ring with what only its owner needs. */
export interface Ring extends System {
  readonly keys: KeyStore;
  /** Records in the audit what no actor decides. */
  readonly note: Journal['note'];
  /**
   * Accepts nothing more, gives what runs `graceMs` to end, and says that it drains; reads and events go on until
   * `close`. Idempotent.
   */
  drain(graceMs: number): Promise<void>;
  readonly prune: Journal['prune'];
}

/** An envelope as those see it who watch; null where nothing in it is to be masked (contract, promise 17). */
const shownOf = (envelope: Envelope): string | null => {
  const message = envelope.message as SessionMessage;
  if (message.type !== 'session.execute') return null;
  const args = masked(message.args, message.command.secrets);
  return args === message.args ? null : JSON.stringify({ ...envelope, message: { ...message, args } });
};

const DEFAULT_ASK_MS = 10_000;
const OUTBOX_IN_FLIGHT = 64;
const OUTBOX_RETRY_MS = 250;
/** How long a store may take no writes while the ring starts. */
const START_STORE_MS = 5_000;
const DRAIN_POLL_MS = 10;
/** What a synchronised clock is corrected by is not worth a line. */
const TOLD_BEHIND_MS = 1_000;

/**
 * Starts the ring on its threads; resolves once every shard is claimed. Rejects with `StoreFailedError` when the
 * directory cannot be used, and with the cause when no shard worker starts.
 */
export const createRing = async (options: RingOptions): Promise<Ring> => {
  const { bus, directory, workers, observer = SILENT, onFatal = () => {} } = options;
  const parts = options.parts ?? threadedParts(directory);
  const asks = createAsks();
  const mentions = createMentions();
  const listeners = new Set<(event: ReleasedEvent) => void>();
  const cutters = new Set<(client: string) => void>();
  const presumed: PresumedClient[] = [];
  /** Executions that were queued when the last process ended, until all are known: the first to wait is not the first to run. */
  let queued: { readonly id: string; readonly session: SessionId; readonly priority: number }[] = [];
  let latestGroup = (): number => 0;
  const heard = createHeard(() => latestGroup());
  const doubts = createDoubts();
  let started = false;
  let readOnly: string | null = null;
  let draining = false;

  const each = <T>(all: ReadonlySet<(value: T) => void>, value: T): void => {
    for (const listener of all) {
      try {
        listener(value);
      } catch (error) {
        observer.error('a listener failed', error);
      }
    }
  };

  const inbox = createInbox({
    perShard: options.inboxPerShard ?? 2_000,
    send: (shard, input) => supervisor.send(shard, input),
    onWithdrawn: (text) => {
      const { request, to } = JSON.parse(text) as Envelope;
      observer.error('a message ended its worker twice and was withdrawn', addressKey(to));
      if (request !== undefined)
        asks.refuse(request.id, problem('actor_failed', `the ${to.kind} cannot take this message`));
    },
  });
  const outboxes = createOutboxes({
    inFlight: OUTBOX_IN_FLIGHT,
    send: (shard, input) => supervisor.send(shard, input),
    fetch: (from, to, after, limit) => journal.call({ type: 'outbox', from, to, after, limit }),
    onError: (error) => observer.error('an outbox could not be read', error),
    later: (task) => {
      if (!draining) setTimeout(task, OUTBOX_RETRY_MS).unref();
    },
  });
  const sender = createSender({
    bus,
    inbox,
    onError: (error) => observer.error('a message could not be published', error),
  });

  const tell = (envelope: Envelope, note: InboxNote = {}): void => {
    const text = JSON.stringify(envelope);
    sender.send(inboxTopic(shardOf(envelope.to.session), envelope.to), text, note, shownOf(envelope) ?? text);
  };
  /** Tells an actor how something outside the ring went. */
  const reportTo = (to: Address, message: Envelope['message']): { readonly committed: Promise<void> } => {
    let resolve = (): void => {};
    let committed: Promise<void> | null = null;
    let read = false;
    const onRead = (): void => {
      read = true;
      resolve();
    };
    tell({ to, message }, { onRead });
    return {
      get committed() {
        committed ??= read ? Promise.resolve() : new Promise((done) => (resolve = done));
        return committed;
      },
    };
  };
  const report: Report = (execution, { session }, message) => reportTo(executionAddress(session, execution), message);
  const agents = options.agents(report);
  let deliveries = NO_DELIVERIES;

  /** What an actor waited for outside the ring when its shard began anew (ring, rule 6). */
  const resume = (key: string, waits: string): void => {
    const { session, id } = addressOf(key);
    const [what, value, ...more] = waits.split(':');
    if (what === 'presence') {
      if (!started) presumed.push({ session_id: session, client_id: id as ClientId });
    } else if (what === 'enqueue') {
      const priority = Number(value);
      if (started) agents.enqueue(id, { session }, priority);
      else queued.push({ id, session, priority });
    } else if (what === 'deliver') {
      const [seq, webhook] = more;
      const attempt = { delivery_id: id as DeliveryId, webhook_id: webhook as WebhookId, seq: Number(seq) };
      if (!deliveries.has(id, Number(value)))
        deliveries.deliver({ ...attempt, attempt: Number(value) }, { session }, null);
    } else if (what === 'run' && !agents.has(id, Number(value))) {
      report(
        id,
        { session },
        {
          type: 'execution.fail',
          start: Number(value),
          problem: problem('handler_crashed', 'the run was lost with its process or its thread'),
          retryable: true,
          artifacts: [],
        },
      );
    }
  };
  const claimed = (claim: Claim): void => {
    supervisor.claimed(claim.shard);
    doubts.claimed(claim.shard);
    inbox.claimed(claim);
    outboxes.claimed(claim);
    for (const [key, waits] of claim.waits) resume(key, waits);
  };

  const release = createReleaser({
    bus,
    inbox,
    outboxes,
    agents,
    deliveries: () => deliveries,
    asks,
    observer,
    onEvent: (event) => {
      doubts.released(event.session, event.seq);
      each(listeners, event);
    },
    onCut: (client) => each(cutters, client),
    onMention: mentions.add,
  });
  const unusable = Promise.withResolvers<never>();
  unusable.promise.catch(() => {});
  const storeFailed = (message: string): void => {
    if (readOnly === null) observer.store('failed', message);
    readOnly = message;
    if (!started)
      setTimeout(() => {
        if (readOnly !== null) unusable.reject(new StoreFailedError(readOnly));
      }, START_STORE_MS).unref();
    // Nothing of these is durable; whoever asked hears so, and the shards read them as nothing.
    inbox.withdraw((text) => {
      const { request } = JSON.parse(text) as Envelope;
      if (request !== undefined) asks.refuse(request.id, refusal());
      return request !== undefined;
    });
  };
  const refusal = () =>
    draining
      ? problem('unavailable', 'the server is draining', { retry_after: 1 })
      : problem('read_only', 'the store takes no writes', { retry_after: 1 });

  const onNotice = (notice: Exclude<JournalNotice, { type: 'answer' | 'refused' | 'ready' }>): void => {
    switch (notice.type) {
      case 'released':
        release(notice);
        return heard.group(notice.group);
      case 'doubtful':
        doubts.add(notice.texts);
        return heard.group(notice.group);
      case 'claimed':
        return notice.claims.forEach(claimed);
      case 'settled':
        return mentions.settled(notice.group);
      case 'failed':
        return storeFailed(notice.message);
      case 'recovered':
        readOnly = null;
        return observer.store('recovered', '');
    }
  };

  const journal = await parts
    .journal({
      onNotice,
      onExit: (error) => {
        storeFailed(error.message);
        // Nothing more will come that a read could wait for.
        heard.group(latestGroup());
        unusable.reject(error);
        if (started) onFatal(error);
      },
    })
    .catch(async (error: unknown) => {
      await agents.close(0);
      throw error;
    });
  latestGroup = journal.committed;
  const { cut, at } = journal.found;
  if (cut !== null) observer.cut(cut);
  const anchor = clockAnchor(at);
  const clock = anchoredClock(anchor);
  const newId = createIdentifiers(clock);
  const behindMs = clock() - Date.now();
  if (behindMs > TOLD_BEHIND_MS) observer.clockBehind(behindMs);
  const supervisor = createSupervisor({
    workers,
    clockAnchor: anchor,
    catalogue: options.catalogue ?? new URL(`../machines/catalogue${import.meta.url.slice(-3)}`, import.meta.url).href,
    limits: { ...SHARD_LIMITS, ...options.shard },
    supervision: options.supervisor ?? {},
    clock,
    pool: (how) => parts.pool({ ...how, connectJournal: journal.connect }),
    observer,
    onGap: ({ shard, epoch, sender: from }) =>
      Number.isInteger(Number(from)) ? outboxes.resend(Number(from), shard) : inbox.resend(shard, epoch),
    onDeath: (taking) => inbox.died(taking.shard, taking.n),
  });
  const settle = async (mention: string | null): Promise<void> => {
    if (mentions.isOpen(mention)) mentions.settled(await journal.call({ type: 'settle' }));
  };
  const reads = parts.reads(settle);
  const caughtUp = withoutDoubtful(readsCaughtUp(reads, heard), doubts);
  deliveries =
    options.deliveries?.({
      reads: caughtUp,
      now: () => clock(),
      report: (delivery, { session }, message) => reportTo(deliveryAddress(session, delivery), message),
    }) ?? NO_DELIVERIES;
  const unsubscribe = bus.subscribe(INBOX_FILTER, sender.arrived);

  const drainWithin = async (graceMs: number): Promise<void> => {
    draining = true;
    const until = clock() + graceMs;
    await agents.close(graceMs);
    await deliveries.close(Math.max(0, until - clock()));
    while (inbox.depth() > 0 && readOnly === null && clock() < until) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  };
  let drained: Promise<void> | null = null;
  const drain = (graceMs: number): Promise<void> => (drained ??= drainWithin(graceMs));

  const end = async (graceMs: number): Promise<void> => {
    await drain(graceMs);
    asks.refuseAll(refusal());
    unsubscribe();
    await supervisor.close();
    reads.close();
    await journal.close();
  };
  let ended: Promise<void> | null = null;
  const close = (graceMs = 30_000): Promise<void> => (ended ??= end(graceMs));

  try {
    await Promise.race([supervisor.start(), unusable.promise]);
    started = true;
    for (const { id, session, priority } of queued.toSorted(
      (a, b) => b.priority - a.priority || (a.id < b.id ? -1 : 1),
    ))
      agents.enqueue(id, { session }, priority);
    queued = [];
  } catch (error) {
    await close(0);
    throw error;
  }

  return {
    bus,
    reads: caughtUp,
    agents,
    keys: journal.keys,
    note: journal.note,
    prune: journal.prune,
    newId,
    now: () => clock(),
    ask: (envelope, deadlineMs = DEFAULT_ASK_MS) => {
      if (draining || readOnly !== null) return Promise.resolve({ ok: false, problem: refusal() });
      if (!inbox.hasRoom(shardOf(envelope.to.session), envelope.to.session)) {
        const full = problem('overloaded', 'too many messages wait for this session', { retry_after: 1 });
        return Promise.resolve({ ok: false, problem: full });
      }
      const request = envelope.request ?? { id: newId('request') };
      const answer = asks.wait(request.id, deadlineMs);
      tell({ ...envelope, request });
      return answer;
    },
    tell: (envelope) => {
      const room = inbox.hasRoom(shardOf(envelope.to.session), envelope.to.session);
      if (room) tell(envelope);
      return room;
    },
    onEvent: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onCut: (listener) => {
      cutters.add(listener);
      return () => void cutters.delete(listener);
    },
    presumedAttached: () => presumed.splice(0),
    readiness: (): Readiness => {
      if (draining) return { ready: false, state: 'draining', detail: 'the server is draining' };
      if (readOnly !== null) return { ready: false, state: 'read_only', detail: readOnly };
      const open = supervisor.open();
      return open === SHARDS
        ? { ready: true }
        : { ready: false, state: 'rebuilding', detail: `${open} of ${SHARDS} shards are open` };
    },
    drain,
    close,
  };
};
