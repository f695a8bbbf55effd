import { addressOf } from '../machines/address.ts';
import type { Catalogue } from '../machines/catalogue.ts';
import type { Clock } from './clock.ts';
import type { JournalInput, JournalOutput } from './journal-messages.ts';
import { isOwnActor, sleep, wakeResident, type Resident } from './resident.ts';
import {
  accept,
  closeShard,
  createShard,
  earlySenders,
  isOpen,
  isSuperseded,
  openShard,
  opensSession,
  type Shard,
  type Step,
} from './shard.ts';
import type { Input, ShardLimits, ShardOutput } from './shard-messages.ts';
import { createTurnTaker } from './shard-turn.ts';
import { encodeTurn } from './turn-record.ts';
import type { Turn, TurnSources } from './turn.ts';

export interface ShardHostOptions {
  readonly catalogue: Catalogue;
  readonly limits: ShardLimits;
  readonly clock: Clock;
  /** Milliseconds, for measuring only. */
  readonly stopwatch: () => number;
  readonly sources: TurnSources;
  readonly toJournal: (input: JournalInput) => void;
  readonly toMain: (output: ShardOutput) => void;
  /** Calls `task` once, at `at` milliseconds of the clock or later; the last call replaces those before it. */
  readonly wakeAt: (at: number, task: () => void) => void;
  /** Calls `task` after a pause. */
  readonly retry: (task: () => void) => void;
  readonly taking: (shard: number, n: number) => void;
}

export interface ShardHost {
  /** Takes over shards: each claims itself first (ring, rule 6). */
  own(shards: readonly number[]): void;
  /** Queues inputs; `run` takes them. */
  inputs(inputs: readonly Input[]): void;
  /** What the journal says. */
  journal(output: JournalOutput): void;
  /** Takes turns until nothing is left that can be taken. */
  run(): void;
  size(): { readonly sessions: number; readonly actors: number };
}

/**
 * Deadlines that a shard takes, or wakes sessions for, at one time. The journal serves in order: whoever asks it for
 * something while very many come due on all shards waits for so many loads of each, and no more.
 */
const DUE_AT_ONCE = 8;
/** How soon a deadline is tried again that its actor did not survive. */
const RETRY_DEADLINE_MS = 1_000;

/**
 * The shards of one worker. Decides and never waits: turns are handed to the journal and the next is taken at once; what
 * the journal refuses closes the shard's epoch, and the shard begins again from the disk.
 */
export const createShardHost = (options: ShardHostOptions): ShardHost => {
  const { catalogue, limits, clock, stopwatch, sources, toJournal, toMain, wakeAt, retry, taking } = options;
  const shards = new Map<number, Shard>();
  /** In order of last use, so that the first has slept longest when room is needed. */
  const residents = new Map<string, Resident>();
  const dueInTurn = Math.min(DUE_AT_ONCE, Math.ceil(limits.turnInputs / 2));
  const taker = createTurnTaker({ catalogue, limits, clock, sources, residents, taking });

  const claim = (indexes: readonly number[]): void => toJournal({ type: 'claim', shards: indexes });

  const forget = (resident: Resident): void => {
    sleep(resident);
    residents.delete(resident.session);
  };

  const close = (shard: Shard): void => {
    closeShard(shard);
    for (const resident of residents.values()) if (resident.shard === shard.index) forget(resident);
  };

  const claimAgain = (shard: Shard): void => {
    close(shard);
    claim([shard.index]);
  };

  /** `opened`: sessions that a step before this one opens. What the journal says of them now is soon outdated. */
  const needsLoad = (step: Step, opened: Set<string>): string | null => {
    const session = step.kind === 'input' ? step.envelope.to.session : addressOf(step.key).session;
    if (residents.has(session) || opened.has(session)) return null;
    if (step.kind === 'input' && step.envelope.message.type === 'nothing') return null;
    if (step.kind === 'deadline' || !opensSession(step.envelope)) return session;
    opened.add(session);
    return null;
  };

  const load = (shard: Shard, session: string): void => {
    if (shard.loading.has(session)) return;
    shard.loading.add(session);
    toJournal({ type: 'load', shard: shard.index, epoch: shard.epoch, session });
  };

  /** Takes from the queue what can be taken now; asks for the sessions that the rest waits for. */
  const ready = (shard: Shard): Step[] => {
    if (shard.held !== null) return [];
    const due = dueNow(shard);
    const batch = shard.queue.slice(0, limits.turnInputs - due.length);
    const opened = new Set<string>();
    const asleep = batch.map((step) => needsLoad(step, opened));
    for (const session of asleep) if (session !== null) load(shard, session);
    const first = asleep.findIndex((session) => session !== null);
    const end = first < 0 ? batch.length : first;
    shard.queue = shard.queue.slice(end);
    return [...due, ...batch.slice(0, end)];
  };

  /** Deadlines that have come, of the sessions that are awake; the others wait, and hold nobody up. */
  const dueNow = (shard: Shard): Step[] => {
    const steps: Step[] = [];
    const due = [...shard.due, ...shard.deadlines.due(clock(), dueInTurn - shard.due.length)];
    shard.due = [];
    for (const key of due) {
      const { session } = addressOf(key);
      if (residents.has(session)) steps.push({ kind: 'deadline', key });
      else {
        shard.due.push(key);
        load(shard, session);
      }
    }
    return steps;
  };

  const takeTurn = (shard: Shard, steps: readonly Step[]): void => {
    const started = stopwatch();
    const { turn, missing } = taker.take(shard, steps);
    if (missing !== null) {
      shard.queue = [...steps, ...shard.queue];
      shard.held = missing;
      return load(shard, missing);
    }
    record(shard, turn, steps, started);
    for (const [hosted, resident] of turn.touched()) {
      shard.deadlines.set(hosted.key, hosted.ended() ? null : hosted.standing().context.deadline);
      if (hosted.ended() && !isOwnActor(resident, hosted)) {
        hosted.stop();
        resident.actors.delete(hosted.key);
      }
      residents.delete(resident.session);
      residents.set(resident.session, resident);
    }
    for (const step of steps) if (step.kind === 'deadline') rearm(shard, step.key, turn.at);
  };

  /** A deadline whose message made its actor throw is still to come: it is tried again, not forgotten. */
  const rearm = (shard: Shard, key: string, at: number): void => {
    const hosted = residents.get(addressOf(key).session)?.actors.get(key);
    const deadline = hosted === undefined || hosted.ended() ? null : hosted.standing().context.deadline;
    if (deadline !== null && deadline <= at) shard.deadlines.retry(key, at + RETRY_DEADLINE_MS);
  };

  /** Asks the journal for the deadlines that come next, where it is time to. */
  const look = (shard: Shard): void => {
    const page = shard.deadlines.ask(clock());
    if (page !== null) toJournal({ type: 'deadlines', shard: shard.index, epoch: shard.epoch, page });
  };

  /** When a shard has to be looked at again; null where what it waits for comes from the journal. */
  const wakesAt = (shard: Shard): number | null =>
    shard.held !== null || shard.due.length >= dueInTurn ? null : shard.deadlines.next();

  /** Hands the turn to the journal. A turn that decided nothing still says how far it has read. */
  const record = (shard: Shard, turn: Turn, steps: readonly Step[], started: number): void => {
    const read: Record<string, number> = {};
    for (const step of steps) if (step.kind === 'input') read[step.sender] = step.n;
    const { heads, contexts } = turn.snapshots();
    const said =
      turn.eventHeads.length + turn.replies.length + turn.outHeads.length + turn.effects.length + turn.audits.length;
    if (heads.length + said === 0 && Object.keys(read).length === 0) return;
    for (const [sender, n] of Object.entries(read)) shard.read.set(sender, n);
    shard.turn += 1;
    const text = encodeTurn({
      head: {
        shard: shard.index,
        epoch: shard.epoch,
        turn: shard.turn,
        at: turn.at,
        read,
        snapshots: heads,
        events: turn.eventHeads,
        out: turn.outHeads,
        remembered: turn.rememberedHeads,
      },
      contexts,
      events: turn.events,
      out: turn.out,
      remembered: turn.remembered,
    });
    toJournal({
      type: 'turn',
      turn: {
        shard: shard.index,
        epoch: shard.epoch,
        turn: shard.turn,
        text,
        ...(turn.audits.length === 0 ? {} : { audit: turn.audits }),
      },
      release: { replies: turn.replies, effects: turn.effects, tookMs: stopwatch() - started, inputs: steps.length },
    });
  };

  const makeRoom = (): void => {
    for (const resident of residents.values()) {
      if (residents.size <= limits.residentSessions) return;
      // A turn that waits for one more session needs those again that are awake.
      if ((shards.get(resident.shard)?.held ?? null) !== null) continue;
      forget(resident);
    }
  };

  const run = (): void => {
    let next: number | null = null;
    const now = clock();
    for (const shard of shards.values()) {
      if (!isOpen(shard)) continue;
      // Most have nothing to do: what one message brings concerns one of them.
      if (shard.queue.length > 0 || shard.due.length > 0 || (shard.deadlines.next() ?? Infinity) <= now) {
        for (let steps = ready(shard); steps.length > 0; steps = ready(shard)) takeTurn(shard, steps);
        look(shard);
      }
      const at = wakesAt(shard);
      if (at !== null && (next === null || at < next)) next = at;
    }
    taking(-1, 0);
    makeRoom();
    if (next !== null) wakeAt(next, run);
  };

  const journal = (output: JournalOutput): void => {
    switch (output.type) {
      case 'claimed':
        for (const granted of output.claims) {
          const shard = shards.get(granted.shard);
          if (shard === undefined) continue;
          // Also where it is open: another claim was under way, and what was decided since is fenced.
          close(shard);
          openShard(shard, granted);
          for (const sender of earlySenders(shard)) {
            toMain({ type: 'gap', shard: shard.index, epoch: shard.epoch, sender });
          }
          if (isSuperseded(shard)) claimAgain(shard);
          shard.early.clear();
        }
        return;
      case 'unclaimed':
        return retry(() => {
          // Another claim may have opened some of them meanwhile.
          const closed = output.shards.filter((index) => {
            const shard = shards.get(index);
            return shard !== undefined && !isOpen(shard);
          });
          if (closed.length > 0) claim(closed);
        });
      case 'loaded': {
        const shard = shards.get(output.shard);
        const { session } = output.loaded;
        if (shard === undefined || shard.epoch !== output.epoch || !shard.loading.delete(session)) return;
        if (shard.held === session) shard.held = null;
        if (!residents.has(session)) {
          residents.set(session, wakeResident(output.loaded, shard.index, catalogue, taker.onEffect));
        }
        return;
      }
      case 'deadlines': {
        const shard = shards.get(output.shard);
        if (shard === undefined || shard.epoch !== output.epoch) return;
        return shard.deadlines.answer(output.deadlines);
      }
      case 'closed': {
        const shard = shards.get(output.shard);
        if (shard === undefined || shard.epoch !== output.epoch) return;
        return claimAgain(shard);
      }
    }
  };

  return {
    own: (indexes) => {
      for (const index of indexes) shards.set(index, createShard(index, limits));
      claim(indexes);
    },
    inputs: (inputs) => {
      const gaps = new Set<string>();
      for (const input of inputs) {
        const shard = shards.get(input[0]);
        if (shard === undefined) continue;
        const verdict = accept(shard, input);
        if (isSuperseded(shard)) claimAgain(shard);
        if (verdict !== 'gap') continue;
        const sender = input[2];
        if (gaps.has(`${shard.index} ${sender}`)) continue;
        gaps.add(`${shard.index} ${sender}`);
        toMain({ type: 'gap', shard: shard.index, epoch: shard.epoch, sender });
      }
    },
    journal,
    run,
    size: () => {
      let actors = 0;
      for (const resident of residents.values()) actors += resident.actors.size;
      return { sessions: residents.size, actors };
    },
  };
};
