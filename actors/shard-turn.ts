import { addressKey, addressOf, sessionAddress } from '../machines/address.ts';
import type { Catalogue } from '../machines/catalogue.ts';
import type { Answer, Effect } from '../machines/effect.ts';
import { problem } from '../machines/error.ts';
import type { SessionId } from '../machines/id.ts';
import type { Envelope, RequestRef } from '../machines/message.ts';
import { restartAllowed } from '../machines/restart.ts';
import type { Clock } from './clock.ts';
import { createHosted, type Hosted } from './hosted.ts';
import { MAIN_SENDER } from './inbox.ts';
import { shardOf } from './placement.ts';
import { createResident, type Resident } from './resident.ts';
import { opensSession, type Shard, type Step } from './shard.ts';
import type { ShardLimits } from './shard-messages.ts';
import { createTurn, type Turn, type TurnSources } from './turn.ts';

export interface TurnTakerOptions {
  readonly catalogue: Catalogue;
  readonly limits: ShardLimits;
  readonly clock: Clock;
  readonly sources: TurnSources;
  /** Sessions in memory. */
  readonly residents: Map<string, Resident>;
  /** Told before each step which input of the main thread it is, or -1, for whoever finds this thread dead. */
  readonly taking: (shard: number, n: number) => void;
}

/** What came of the actor whose machine threw on a step. */
interface Failure {
  readonly resident: Resident;
  readonly hosted: Hosted;
  readonly reason: string;
  /** It has thrown more often than its limits allow. */
  readonly givenUp: boolean;
}

/** An event that has its number, and what it came of. */
interface Told {
  readonly effect: Extract<Effect, { type: 'event' }>;
  readonly seq: number;
  readonly cause: Envelope;
  /** How much was queued before it was said: what follows from it comes before whatever was sent after it. */
  readonly place: number;
}

/** A session of this shard that somebody spoke to and that sleeps. */
interface Missing {
  readonly missing: string;
}

export interface TakenTurn {
  readonly turn: Turn;
  /** A session that has to be awake for this turn; it is undone then, to be taken again. */
  readonly missing: string | null;
  /** How often an actor was restarted or given up. */
  readonly restarts: number;
}

/** Takes steps on residents. `onEffect` belongs to every actor that is hosted beside it. */
export interface TurnTaker {
  take(shard: Shard, steps: readonly Step[]): TakenTurn;
  readonly onEffect: (effect: Effect) => void;
}

/**
 * A turn is atomic: when a machine throws, everything of the turn is undone and taken again without the step that made it
 * throw, which gets `actor_restarted` and an error instead. An actor that throws more often than its limits allow is given
 * up with `actor_failed`; others hear nothing (architecture, "Supervision").
 */
export const createTurnTaker = (options: TurnTakerOptions): TurnTaker => {
  const { catalogue, limits, clock, sources, residents, taking } = options;
  // What the actor that is taking a message right now belongs to: machines run to completion, one at a time.
  let current: {
    turn: Turn;
    shard: Shard;
    resident: Resident;
    source: string;
    envelope: Envelope;
    queue: Envelope[];
    facts: Told[];
  } | null = null;
  /** What endpoints are told: it grows with their number, not by anybody's mistake, and comes to an end by itself. */
  const uncounted = new WeakSet<Envelope>();

  const onEffect = (effect: Effect): void => {
    if (current === null) return;
    const { turn, shard, resident, source, envelope, queue, facts } = current;
    switch (effect.type) {
      case 'event':
        return void facts.push({
          effect,
          seq: turn.event(resident, source, envelope, effect),
          cause: envelope,
          place: queue.length,
        });
      case 'reply':
        return turn.reply(resident, envelope.request, effect.answer);
      case 'audit':
        return turn.audit(resident, envelope, effect);
      case 'remember':
        return turn.remember(resident, effect.key, JSON.stringify(effect.value));
      case 'send': {
        const sent = passedOn(envelope, effect);
        const to = shardOf(effect.to.session);
        if (uncounted.has(envelope)) uncounted.add(sent);
        if (to === shard.index) return void queue.push(sent);
        const n = (shard.sent.get(to) ?? 0) + 1;
        shard.sent.set(to, n);
        return turn.send(to, n, sent, addressKey(effect.to));
      }
      default:
        return turn.release(resident.session, effect);
    }
  };

  /**
   * Queues what follows from events of a session, as its own actor says that has taken the message they came of: each in
   * its place between what was sent before it and after it.
   */
  const overhear = (resident: Resident, facts: readonly Told[], queue: Envelope[]): void => {
    if (facts.length === 0) return;
    const own = resident.actors.get(addressKey(sessionAddress(resident.session as SessionId)));
    const overhears = own?.entry.overhears;
    if (own === undefined || overhears === undefined) return;
    const { context } = own.standing();
    const follows = facts.map(({ effect: { event, subject }, seq, cause: { meta } }) =>
      overhears(context as never, { event, subject, seq, draw: sources.newDeliveryId }).map(
        (heard): Envelope => (meta === undefined ? heard : { ...heard, meta }),
      ),
    );
    for (const envelope of follows.flat()) uncounted.add(envelope);
    for (let index = facts.length - 1; index >= 0; index--)
      queue.splice((facts[index] as Told).place, 0, ...(follows[index] as Envelope[]));
  };

  /** The actor a message is for; null where there is none and the message does not make one. */
  const recipient = (shard: Shard, resident: Resident, envelope: Envelope, turn: Turn): Hosted | null => {
    const key = addressKey(envelope.to);
    const known = resident.actors.get(key);
    const entry = catalogue[envelope.to.kind];
    if (known !== undefined) {
      if (!known.ended()) turn.touch(resident, known, false);
      return known;
    }
    if (envelope.fresh !== true || entry === undefined || entry.openedBy !== envelope.message.type) return null;
    const created = createHosted(envelope.to, key, entry, null, onEffect);
    resident.actors.set(key, created);
    turn.touch(resident, created, true);
    return created;
  };

  const refuse = (code: 'not_found' | 'conflict' | 'internal' | 'actor_failed', detail: string): Answer => ({
    ok: false,
    problem: problem(code, detail),
  });

  /** Takes a message and all that it causes on this shard, until it is quiet. Answers who failed or sleeps, if anybody. */
  const deliver = (shard: Shard, turn: Turn, first: Envelope): Failure | Missing | null => {
    const queue: Envelope[] = [first];
    let counted = 0;
    for (let index = 0; index < queue.length; index++) {
      const envelope = queue[index] as Envelope;
      if (!uncounted.has(envelope)) counted += 1;
      const { session } = envelope.to;
      let resident = residents.get(session);
      if (resident === undefined) {
        // The host sees to it that those are awake whom a step is for; whom they speak to nobody knows before.
        if (index > 0 && !opensSession(envelope)) return { missing: session };
        residents.set(session, (resident = createResident(session, shard.index)));
      }
      const repeated = envelope.request?.repeat_key;
      if (index === 0 && repeated !== undefined) {
        const answer = resident.remembered.get(repeated);
        if (answer !== undefined) {
          turn.again(envelope.request as RequestRef, JSON.parse(answer) as Answer);
          return null;
        }
      }
      const hosted = recipient(shard, resident, envelope, turn);
      if (hosted === null) {
        turn.reply(
          resident,
          envelope.request,
          refuse('not_found', `there is no ${envelope.to.kind} ${envelope.to.id}`),
        );
        continue;
      }
      if (hosted.ended()) {
        turn.reply(resident, envelope.request, refuse('conflict', `the ${envelope.to.kind} has ended`));
        continue;
      }
      if (counted > limits.turnMessages) {
        return failure(turn, resident, hosted, `more than ${limits.turnMessages} messages in one turn`);
      }
      const facts: Told[] = [];
      current = { turn, shard, resident, source: envelope.to.kind, envelope, queue, facts };
      const message = {
        ...envelope.message,
        ...recalled(resident, hosted, envelope),
        at: turn.at,
        random: sources.random(),
      };
      const survived = hosted.take(message);
      current = null;
      if (!survived) {
        const thrown = hosted.thrown();
        return failure(turn, resident, hosted, thrown instanceof Error ? thrown.message : String(thrown));
      }
      overhear(resident, facts, queue);
    }
    return null;
  };

  const recalled = (resident: Resident, hosted: Hosted, envelope: Envelope): { known?: unknown } => {
    const key = hosted.entry.recalls?.(envelope.message);
    const json = key === undefined || key === null ? undefined : resident.remembered.get(key);
    return json === undefined ? {} : { known: JSON.parse(json) as unknown };
  };

  const failure = (turn: Turn, resident: Resident, hosted: Hosted, reason: string): Failure => {
    const window = restartAllowed(resident.restarts.get(hosted.key) ?? [], turn.at, {
      max_restarts: limits.maxRestarts,
      max_seconds: limits.maxSeconds,
    });
    if (window !== null) resident.restarts.set(hosted.key, window);
    return { resident, hosted, reason, givenUp: window === null };
  };

  /** What is said instead of taking a step that makes an actor throw. */
  const punish = (
    shard: Shard,
    turn: Turn,
    step: Step,
    { resident, hosted, reason, givenUp }: Failure,
  ): Missing | null => {
    const envelope = envelopeOf(step);
    const { kind, id } = hosted.address;
    const event: Extract<Effect, { type: 'event' }> = {
      type: 'event',
      event: givenUp ? 'actor_failed' : 'actor_restarted',
      subject: id,
      data: { kind, id, reason },
      severity: 'error',
    };
    const facts: Told[] = [
      { effect: event, seq: turn.event(resident, kind, envelope, event), cause: envelope, place: 0 },
    ];
    const answer = givenUp
      ? refuse('actor_failed', `the ${kind} was given up`)
      : refuse('internal', `the ${kind} was restarted`);
    turn.reply(resident, envelope.request, answer);
    const queue: Envelope[] = [];
    const actor = resident.actors.get(hosted.key);
    if (givenUp && actor !== undefined) {
      turn.touch(resident, actor, false);
      const { context } = actor.standing();
      actor.giveUp();
      current = { turn, shard, resident, source: kind, envelope, queue, facts };
      for (const effect of actor.entry.failure?.(context as never, turn.at) ?? []) onEffect(effect);
      current = null;
    }
    overhear(resident, facts, queue);
    for (const next of queue) {
      if (!residents.has(next.to.session)) return { missing: next.to.session };
      const came = deliver(shard, turn, next);
      if (came !== null && 'missing' in came) return came;
    }
    return null;
  };

  return {
    onEffect,
    take: (shard, steps) => {
      const punished = new Map<Step, Failure>();
      for (;;) {
        const sentBefore = new Map(shard.sent);
        const turn = createTurn(clock(), sources);
        let poison: Step | null = null;
        let missing: string | null = null;
        for (const step of steps) {
          if (step.kind === 'input' && step.sender === MAIN_SENDER) taking(shard.index, step.n);
          else taking(-1, 0);
          const before = punished.get(step);
          if (before === undefined && !wanted(step, residents, turn.at)) continue;
          const now = before === undefined ? deliver(shard, turn, envelopeOf(step)) : punish(shard, turn, step, before);
          if (now === null) continue;
          if ('missing' in now) missing = now.missing;
          else {
            punished.set(step, now);
            poison = step;
          }
          break;
        }
        if (poison === null && missing === null) return { turn, missing, restarts: punished.size };
        turn.undo();
        shard.sent.clear();
        for (const [to, n] of sentBefore) shard.sent.set(to, n);
        if (missing !== null) return { turn, missing, restarts: 0 };
      }
    },
  };
};

const envelopeOf = (step: Step): Envelope =>
  step.kind === 'input' ? step.envelope : { to: addressOf(step.key), message: { type: 'deadline' } };

/** A deadline that was moved or whose actor has ended is nobody's business any more; never early (promise 6). */
const wanted = (step: Step, residents: ReadonlyMap<string, Resident>, at: number): boolean => {
  if (step.kind === 'input') return step.envelope.message.type !== 'nothing';
  const hosted = residents.get(addressOf(step.key).session)?.actors.get(step.key);
  if (hosted === undefined || hosted.ended()) return false;
  const { deadline } = hosted.standing().context;
  return deadline !== null && deadline <= at;
};

/** A message caused by another keeps its request, so that any actor of the chain may answer, and its origin. */
const passedOn = (cause: Envelope, effect: Extract<Effect, { type: 'send' }>): Envelope => ({
  to: effect.to,
  message: effect.message,
  ...(effect.fresh === true ? { fresh: true } : {}),
  ...(cause.request === undefined ? {} : { request: cause.request }),
  ...(cause.meta === undefined ? {} : { meta: cause.meta }),
});
