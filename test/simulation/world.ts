import { createInbox, type Inbox } from '../../actors/inbox.ts';
import type { JournalInput, JournalNotice, JournalOutput } from '../../actors/journal-messages.ts';
import { createJournalLoop, type JournalLoop } from '../../actors/journal-loop.ts';
import { createMemoryJournal } from '../../actors/journal-memory.ts';
import { createMemoryDisk } from '../../actors/memory-disk.ts';
import { createOutboxes, type Outboxes } from '../../actors/outboxes.ts';
import { SHARDS, shardOf } from '../../actors/placement.ts';
import { createShardHost, type ShardHost } from '../../actors/shard-host.ts';
import { SHARD_LIMITS, type ShardInput, type ShardOutput } from '../../actors/shard-messages.ts';
import { decodeTurns } from '../../actors/turn-record.ts';
import { addressKey } from '../../machines/address.ts';
import type { Answer } from '../../machines/effect.ts';
import type { Envelope } from '../../machines/message.ts';
import { catalogue } from '../support/machines.ts';

/** A step of what carries messages: some channel, chosen by the scheduler, delivers its oldest message. */
type Channel = (() => void)[];

/**
 * The ring in one thread: the real shards, journal loop, inbox and outboxes over channels that deliver when the scheduler
 * says so, with a disk that survives and a journal that fails when it is told to.
 */
export interface World {
  ask(envelope: Envelope): { readonly answer: () => Answer | null };
  /** Delivers one message of a channel chosen by `choice`; false when nothing is under way. */
  step(choice: number): Promise<boolean>;
  /** The next writes fail. */
  failWrites(count: number): void;
  killWorker(worker: number): void;
  /** Everything but the disk is gone. */
  killProcess(): void;
  /** Moves the clock forward. */
  advance(ms: number): void;
  /** Delivers until nothing is under way. */
  settle(): Promise<void>;
  /** Events that were let out, by session and `seq`. */
  readonly released: Map<string, string>;
  events(session: string): Promise<readonly string[]>;
  /** The deadline that an actor has on the disk. */
  deadline(key: string): Promise<unknown>;
}

export const createWorld = (workers: number): World => {
  const disk = createMemoryDisk();
  const released = new Map<string, string>();
  const answers = new Map<string, Answer>();
  let failing = 0;
  let now = 1_000_000;
  let requests = 0;
  let ids = 0;
  let boot: ReturnType<typeof start>;

  const start = () => {
    const channels: Channel[] = [];
    const channel = (): Channel => {
      const made: Channel = [];
      channels.push(made);
      return made;
    };
    const journal = createMemoryJournal({
      disk,
      beforeWrite: () => {
        if (failing === 0) return;
        failing -= 1;
        throw new Error('the disk fails');
      },
    });
    const hosts: (ShardHost | null)[] = [];
    const toWorker: Channel[] = [];
    const notices = channel();
    /** What each host asked to be woken for last. */
    const wakes = new Map<number, { at: number; task: () => void }>();
    const loop: JournalLoop = createJournalLoop({
      journal,
      stopwatch: () => 0,
      notify: (notice) => void notices.push(() => hear(notice)),
      later: (task) => void notices.push(task),
    });
    const inbox: Inbox = createInbox({
      perShard: 10_000,
      send: (shard, input) => tell(shard, input),
      onWithdrawn: () => {},
    });
    const tell = (shard: number, input: Extract<ShardInput, { type: 'inputs' }>['inputs'][number]): void => {
      const worker = shard % workers;
      toWorker[worker]?.push(() => hosts[worker]?.inputs([input]));
    };
    const outboxes: Outboxes = createOutboxes({
      inFlight: 2,
      send: tell,
      fetch: async (...args) => {
        if (failing > 0) throw new Error('the disk fails');
        return journal.outbox(...args);
      },
      onError: () => {},
      later: (task) => void notices.push(task),
    });
    const hear = (notice: JournalNotice): void => {
      if (notice.type === 'claimed') {
        for (const claim of notice.claims) {
          inbox.claimed(claim);
          outboxes.claimed(claim);
        }
      }
      if (notice.type !== 'released') return;
      for (const [index, text] of notice.texts.entries()) {
        for (const record of decodeTurns(text)) {
          const { head, events } = record;
          for (const [at, [session, seq]] of head.events.entries())
            released.set(`${session} ${seq}`, events[at] as string);
          outboxes.released(record);
          for (const [request, answer] of notice.releases[index]?.replies ?? []) answers.set(request, answer);
          if (head.read.main !== undefined) inbox.read(head.shard, head.read.main);
        }
      }
    };
    const hire = (worker: number): void => {
      const toJournal = channel();
      const fromJournal = channel();
      const fromMain = channel();
      const toMain = channel();
      toWorker[worker] = fromMain;
      const alive = (): boolean => hosts[worker] === host;
      const host: ShardHost = createShardHost({
        catalogue,
        limits: {
          ...SHARD_LIMITS,
          turnInputs: 3,
          residentSessions: 2,
          maxRestarts: 1_000,
          horizonMs: 1_500,
          deadlineWindow: 2,
        },
        clock: () => now,
        stopwatch: () => 0,
        sources: { random: () => 0.5, newEventId: () => `evt_${(ids += 1)}`, newDeliveryId: () => `dlv_${(ids += 1)}` },
        toJournal: (input: JournalInput) =>
          void toJournal.push(() =>
            loop.take(input, (output: JournalOutput) => {
              fromJournal.push(() => alive() && host.journal(output));
            }),
          ),
        toMain: (output: ShardOutput) =>
          void toMain.push(() => {
            if (output.type !== 'gap') return;
            if (output.sender === 'main') inbox.resend(output.shard, output.epoch);
            else outboxes.resend(Number(output.sender), output.shard);
          }),
        wakeAt: (at, task) => {
          if (alive()) wakes.set(worker, { at, task });
        },
        retry: (task) => void toMain.push(task),
        taking: () => {},
      });
      hosts[worker] = host;
      wakes.delete(worker);
      host.own(Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => shard % workers === worker));
    };
    for (let worker = 0; worker < workers; worker++) hire(worker);
    return { channels, hosts, loop, inbox, hire, wakes, journal };
  };
  boot = start();

  const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const step = async (choice: number): Promise<boolean> => {
    const busy = boot.channels.filter((channel) => channel.length > 0);
    if (busy.length === 0) return false;
    (busy[choice % busy.length] as Channel).shift()?.();
    boot.loop.wake();
    for (const host of boot.hosts) host?.run();
    await breathe();
    return true;
  };

  return {
    released,
    ask: (envelope) => {
      const id = `req_${(requests += 1)}`;
      boot.inbox.push(
        shardOf(envelope.to.session),
        addressKey(envelope.to),
        JSON.stringify({ ...envelope, request: { id } }),
      );
      return { answer: () => answers.get(id) ?? null };
    },
    step,
    failWrites: (count) => {
      failing = count;
    },
    killWorker: (worker) => boot.hire(worker % workers),
    killProcess: () => {
      boot = start();
    },
    advance: (ms) => {
      now += ms;
      for (const [worker, { at, task }] of [...boot.wakes]) {
        if (at > now) continue;
        boot.wakes.delete(worker);
        task();
      }
    },
    settle: async () => {
      failing = 0;
      for (let choice = 0; await step(choice); choice++);
    },
    deadline: async (key) => (await boot.journal.reads.actor(key))?.context['deadline'] ?? null,
    events: async (session) => (await boot.journal.reads.events(session as never, { after: 0, limit: 1_000 })).events,
  };
};
