import * as assert from 'uvu/assert';
import { createActor } from 'xstate';
import type { AnyActor, AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import { addressKey, addressOf, sessionAddress } from '../../machines/address.ts';
import type { Address } from '../../machines/address.ts';
import { catalogue } from '../../machines/catalogue.ts';
import type { Convention } from '../../machines/convention.ts';
import type { Answer, DeliveryAttempt, Effect, Run } from '../../machines/effect.ts';
import { problem } from '../../machines/error.ts';

/** A machine's state value and context: all that is kept of it. */
export interface Standing<Context> {
  readonly value: string;
  readonly context: Context;
}

/** One machine, run as its host runs it: messages in, effects out. */
export interface Driver<Context extends Convention, Emitted> {
  /** Effects of this message, in order. */
  take(message: { readonly type: string }): Emitted[];
  readonly standing: () => Standing<Context>;
  /** Whether it has reached a final state. */
  readonly done: () => boolean;
  /** Throws the actor away and builds it anew from JSON, as after a restart. */
  restore(): void;
}

const frozen = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) frozen(part);
  }
  return value;
};

/** Runs `machine`, from where it stood before if that is given. Messages are frozen, and so is each context: a machine that changes in place throws here. */
export const createDriver = <Context extends Convention, Emitted = Effect>(
  machine: AnyStateMachine,
  before: Standing<Context> | null = null,
): Driver<Context, Emitted> => {
  let effects: Emitted[] = [];
  let thrown: unknown;
  const start = (stored: Standing<Context> | null): AnyActor => {
    const actor = createActor(machine, stored === null ? {} : { snapshot: machine.resolveState(stored as never) });
    actor.on('*', (effect) => void effects.push(effect as unknown as Emitted));
    actor.subscribe({
      error: (error) => {
        thrown = error;
      },
    });
    return actor.start();
  };
  let actor = start(before);
  const snapshot = (): AnyMachineSnapshot => actor.getSnapshot() as AnyMachineSnapshot;
  const standing = (): Standing<Context> => {
    const { value, context } = snapshot();
    assert.type(value, 'string', 'states are flat');
    return { value: value as string, context: frozen(context as Context) };
  };
  return {
    take: (message) => {
      standing();
      effects = [];
      actor.send(frozen(structuredClone(message)));
      if (snapshot().status === 'error') throw thrown;
      return effects;
    },
    standing,
    done: () => snapshot().status === 'done',
    restore: () => {
      const stored = JSON.parse(JSON.stringify(standing())) as Standing<Context>;
      assert.equal(stored, standing(), 'a context is JSON');
      actor.stop();
      actor = start(stored);
    },
  };
};

/** All actors of one session, run as a shard would: what is sent is taken in the same turn, first come, first served. */
export interface Ring {
  now: number;
  readonly events: { readonly event: string; readonly subject: string; readonly data: Record<string, unknown> }[];
  readonly runs: Run[];
  readonly queued: string[];
  /** What is to be sent to webhooks. */
  readonly attempts: DeliveryAttempt[];
  readonly cut: string[];
  readonly audits: { readonly audit: string; readonly data: Readonly<Record<string, unknown>> }[];
  /** All effects in order, with the address key they come from. */
  readonly log: { readonly from: string; readonly effect: Effect }[];
  tell(to: Address, message: { readonly type: string }, fresh?: boolean): void;
  /** Fails unless it is answered exactly once, within the turn. */
  ask(to: Address, message: { readonly type: string }, fresh?: boolean): Answer;
  actor(to: Address): Driver<Convention, Effect> | undefined;
  readonly actors: ReadonlyMap<string, Driver<Convention, Effect>>;
  /** Moves the time and wakes whose deadline has come, until nobody's has. */
  advance(ms: number): void;
  /** Gives an actor up, as its supervisor does: what is still to be said is said, and it takes nothing more. */
  fail(to: Address): void;
  restore(): void;
}

interface Delivery {
  readonly to: Address;
  readonly message: { readonly type: string };
  readonly fresh: boolean;
  /** It follows from an event: nobody waits for an answer. */
  readonly heard?: boolean;
}

export const createRing = (random: () => number = () => 0.5): Ring => {
  const actors = new Map<string, Driver<Convention, Effect>>();
  const addresses = new Map<string, Address>();
  const remembered = new Map<string, unknown>();
  let answers: Answer[] = [];
  let deliveries = 0;

  /** What follows from an event, as the session's own actor says. */
  const overhear = (from: string, { event, subject }: Extract<Effect, { type: 'event' }>, queue: Delivery[]): void => {
    const { session } = addressOf(from);
    const own = actors.get(addressKey(sessionAddress(session)));
    const fact = {
      event,
      subject,
      seq: ring.events.length,
      draw: () => `dlv_${(deliveries += 1)}` as const,
    };
    if (own === undefined) return;
    for (const heard of catalogue['session']?.overhears?.(own.standing().context as never, fact) ?? [])
      queue.push({ ...heard, fresh: false, heard: true });
  };

  const perform = (from: string, effect: Effect, queue: Delivery[]): void => {
    ring.log.push({ from, effect });
    if (effect.type === 'send') queue.push({ to: effect.to, message: effect.message, fresh: effect.fresh ?? false });
    if (effect.type === 'event') {
      ring.events.push(effect);
      overhear(from, effect, queue);
    }
    if (effect.type === 'deliver') ring.attempts.push(effect.attempt);
    if (effect.type === 'audit') ring.audits.push(effect);
    if (effect.type === 'reply') answers.push(effect.answer);
    if (effect.type === 'remember') remembered.set(effect.key, effect.value);
    if (effect.type === 'run') ring.runs.push(effect.run);
    if (effect.type === 'enqueue') ring.queued.push(effect.execution_id);
    if (effect.type === 'cut') ring.cut.push(effect.client_id);
  };

  /** Takes what is queued and all that it causes, until it is quiet. */
  const deliver = (queue: Delivery[], asked = false): void => {
    for (const { to, message, fresh, heard = false } of queue) {
      const key = addressKey(to);
      const entry = catalogue[to.kind];
      if (entry === undefined) throw new Error(`no such kind: ${to.kind}`);
      if (fresh && !actors.has(key)) {
        assert.is(message.type, entry.openedBy);
        actors.set(key, createDriver(entry.machine));
        addresses.set(key, to);
      }
      const actor = actors.get(key);
      if (actor === undefined || actor.done()) {
        // The first answer counts, as on a shard: who is told besides and has ended does not refuse what is answered.
        if (asked && !heard && answers.length === 0)
          answers.push({ ok: false, problem: problem(actor === undefined ? 'not_found' : 'conflict', key) });
        continue;
      }
      const recalled = entry.recalls?.(message) ?? null;
      const known = recalled !== null && remembered.has(recalled) ? { known: remembered.get(recalled) } : {};
      const taken = { ...message, ...known, at: ring.now, random: random() };
      for (const effect of actor.take(taken)) perform(key, effect, queue);
    }
  };

  /** Wakes each actor whose deadline has come, once; whether there was one. */
  const wake = (): boolean => {
    let woken = false;
    for (const [key, actor] of actors) {
      const { deadline } = actor.standing().context;
      if (actor.done() || deadline === null || deadline > ring.now) continue;
      woken = true;
      deliver([{ to: addresses.get(key) as Address, message: { type: 'deadline' }, fresh: false }]);
      const next = actor.standing().context.deadline;
      assert.ok(next === null || next > deadline, `${key} moves a deadline that has come`);
    }
    return woken;
  };

  const ring: Ring = {
    now: 1_000_000,
    events: [],
    runs: [],
    queued: [],
    attempts: [],
    cut: [],
    audits: [],
    log: [],
    tell: (to, message, fresh = false) => deliver([{ to, message, fresh }]),
    ask: (to, message, fresh = false) => {
      answers = [];
      deliver([{ to, message, fresh }], true);
      assert.is(answers.length, 1, `${message.type} is answered once, not ${answers.length} times`);
      return answers[0] as Answer;
    },
    actor: (to) => actors.get(addressKey(to)),
    actors,
    advance: (ms) => {
      ring.now += ms;
      while (wake());
    },
    fail: (to) => {
      const key = addressKey(to);
      const actor = actors.get(key);
      if (actor === undefined || actor.done()) return;
      actors.set(key, { ...actor, done: () => true });
      const queue: Delivery[] = [];
      const { kind, id } = to;
      perform(key, { type: 'event', event: 'actor_failed', subject: id, data: { kind, id } }, queue);
      const { context } = actor.standing();
      for (const effect of catalogue[to.kind]?.failure?.(context as never, ring.now) ?? []) perform(key, effect, queue);
      deliver(queue);
    },
    restore: () => {
      for (const actor of actors.values()) if (!actor.done()) actor.restore();
    },
  };
  return ring;
};
