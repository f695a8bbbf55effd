import { setup } from 'xstate';
import { fullJitter } from './backoff.ts';
import type { Backoff } from './backoff.ts';
import { UNBOUND, act, isDue } from './convention.ts';
import type { Convention, Step } from './convention.ts';
import type { DeadlineMessage, Taken } from './message.ts';
import { restartAllowed } from './restart.ts';
import type { RestartLimits } from './restart.ts';

export type { RestartLimits } from './restart.ts';

/** What a supervisor knows of a child before it starts it. Times in ms. */
export interface ChildSpec {
  readonly id: string;
  readonly limits: RestartLimits;
  /** What follows one restart too many: give it up, or (pools) go on rebuilding it with ever longer pauses. */
  readonly beyond: 'fail' | 'rebuild';
  /** The pause before a restart; it grows with each restart inside the window. */
  readonly restart: Backoff;
  /** The pause before a rebuild; it grows until a restart is allowed again. */
  readonly rebuild: Backoff;
  /** How long it may take to be ready, and how long to exit once killed. */
  readonly start_ms: number;
  readonly kill_ms: number;
}

/** What a child's machine understands. `incarnation` where the speaker knows of which start it speaks: older news is ignored. */
export type ChildMessage =
  | { readonly type: 'child.open'; readonly spec: ChildSpec }
  | { readonly type: 'child.ready'; readonly incarnation?: number }
  | { readonly type: 'child.exited'; readonly reason: string; readonly incarnation?: number }
  | { readonly type: 'child.unresponsive'; readonly incarnation?: number }
  | { readonly type: 'child.stop' };

/** What a supervisor does for a child's machine. */
export type ChildEffect =
  /** `rebuild` where more than the child itself has to be made anew. */
  | { readonly type: 'start'; readonly id: string; readonly incarnation: number; readonly rebuild: boolean }
  /** Ends it by force; `child.exited` is expected to follow. */
  | { readonly type: 'kill'; readonly id: string; readonly incarnation: number }
  /** For the event, the metric and readiness. `restarts` counts those inside the window. */
  | {
      readonly type: 'report';
      readonly id: string;
      readonly state: 'running' | 'restarting' | 'rebuilding' | 'failed' | 'stopped';
      readonly reason: string | null;
      readonly restarts: number;
    };

export interface ChildContext extends Convention {
  /** Blank only in the state `new`. */
  readonly spec: ChildSpec;
  /** Number of the latest start, from 1. */
  readonly incarnation: number;
  /** When it was restarted lately, in ms since the epoch, oldest first; at most `max_restarts`. */
  readonly restarts: readonly number[];
  /** Rebuilds since the last restart that was allowed. */
  readonly rebuilds: number;
  /** Why it is being killed or was last lost. */
  readonly reason: string | null;
}

type Incoming = (ChildMessage | DeadlineMessage) & Taken;
type Of<Type extends Incoming['type']> = Extract<Incoming, { type: Type }>;
type Now = Step<ChildContext, ChildEffect>;
type Args<Event extends Incoming> = { readonly context: ChildContext; readonly event: Event };

const begin = (context: ChildContext, at: number, rebuild: boolean): Now => {
  const incarnation = context.incarnation + 1;
  const { id, start_ms } = context.spec;
  return { change: { incarnation, deadline: at + start_ms }, effects: [{ type: 'start', id, incarnation, rebuild }] };
};

const report = (
  { spec, restarts }: ChildContext,
  state: Extract<ChildEffect, { type: 'report' }>['state'],
  reason: string | null,
): ChildEffect => ({ type: 'report', id: spec.id, state, reason, restarts: restarts.length });

const killed = ({ spec, incarnation }: ChildContext): ChildEffect => ({ type: 'kill', id: spec.id, incarnation });

const open = (blank: ChildContext, { spec, at }: Of<'child.open'>): Now => {
  const first = begin({ ...blank, spec }, at, false);
  return { ...first, change: { ...first.change, spec } };
};

/** The restart counts from when it is made, not from when it was granted: so the limits hold for the starts themselves. */
const restartNow = (context: ChildContext, { at }: Incoming): Now => {
  const { change, effects = [] } = begin(context, at, false);
  return { change: { ...change, restarts: [...context.restarts, at] }, effects };
};
const rebuildNow = (context: ChildContext, { at }: Incoming): Now => begin(context, at, true);

const ready = (context: ChildContext): Now => ({
  change: { deadline: null, reason: null },
  effects: [report(context, 'running', null)],
});

/** Why it is gone: what was known before it was killed counts more than how it then exited. */
const lossOf = (context: ChildContext, event: Incoming): string =>
  context.reason ?? ('reason' in event ? event.reason : 'it did not exit when killed');

const kill =
  (reason: string) =>
  (context: ChildContext, { at }: Incoming): Now => ({
    change: { reason, deadline: at + context.spec.kill_ms },
    effects: [killed(context)],
  });

const restart = (context: ChildContext, event: Incoming): Now => {
  const restarts = restartAllowed(context.restarts, event.at, context.spec.limits) ?? [];
  const delay = fullJitter(restarts.length, event.random, context.spec.restart);
  return {
    change: { restarts: restarts.slice(0, -1), rebuilds: 0, reason: null, deadline: event.at + delay },
    effects: [report({ ...context, restarts }, 'restarting', lossOf(context, event))],
  };
};

const rebuild = (context: ChildContext, event: Incoming): Now => {
  const rebuilds = context.rebuilds + 1;
  const delay = fullJitter(rebuilds, event.random, context.spec.rebuild);
  return {
    change: { rebuilds, reason: null, deadline: event.at + delay },
    effects: [report(context, 'rebuilding', lossOf(context, event))],
  };
};

const fail = (context: ChildContext, event: Incoming): Now => ({
  change: { deadline: null, reason: lossOf(context, event) },
  effects: [report(context, 'failed', lossOf(context, event))],
});

const stopped = (context: ChildContext): Now => ({
  change: { deadline: null },
  effects: [report(context, 'stopped', null)],
});

const isCurrent = ({
  context,
  event: { incarnation },
}: Args<Of<'child.ready' | 'child.exited' | 'child.unresponsive'>>): boolean =>
  incarnation === undefined || incarnation === context.incarnation;

const mayRestart = ({ context, event }: Args<Incoming>): boolean =>
  restartAllowed(context.restarts, event.at, context.spec.limits) !== null;

const due = ({ context, event: { at } }: Args<Of<'deadline'>>): boolean => isDue(context, at);

const { createMachine } = setup({ types: {} as { context: ChildContext; events: Incoming; emitted: ChildEffect } });

const does = (decide: (context: ChildContext, event: Incoming) => Now) =>
  act<ChildContext, Incoming, Incoming, ChildEffect>(decide);

/** It is gone for good or for now: by the limits, `isIt` says whether the message is about this incarnation at all. */
const lost = <Event extends Incoming>(isIt: (args: Args<Event>) => boolean) =>
  [
    { guard: (args: Args<Event>) => isIt(args) && mayRestart(args), target: 'restarting', actions: does(restart) },
    {
      guard: (args: Args<Event>) => isIt(args) && args.context.spec.beyond === 'rebuild',
      target: 'rebuilding',
      actions: does(rebuild),
    },
    { guard: isIt, target: 'failed', actions: does(fail) },
  ] as const;

const unresponsive = { guard: isCurrent, target: 'killing', actions: does(kill('it was unresponsive')) } as const;
const stops = { target: 'stopping', actions: does(kill('it was stopped')) } as const;
const stopsAtOnce = { target: 'stopped', actions: does(stopped) } as const;

/**
 * A child as its supervisor sees it, in OTP's terms (architecture, "Supervision"): `starting → running → restarting →
 * starting …`, and beyond the limits `failed`, or `rebuilding` where there has to be such a child in the end.
 */
export const child = createMachine({
  id: 'child',
  context: { ...UNBOUND, spec: null as never, incarnation: 0, restarts: [], rebuilds: 0, reason: null },
  initial: 'new',
  states: {
    new: {
      on: { 'child.open': { target: 'starting', actions: act(open) } },
    },
    starting: {
      on: {
        'child.ready': { guard: isCurrent, target: 'running', actions: act(ready) },
        'child.exited': lost<Of<'child.exited'>>(isCurrent),
        'child.unresponsive': unresponsive,
        deadline: { guard: due, target: 'killing', actions: does(kill('it was not ready in time')) },
        'child.stop': stops,
      },
    },
    running: {
      on: {
        'child.exited': lost<Of<'child.exited'>>(isCurrent),
        'child.unresponsive': unresponsive,
        'child.stop': stops,
      },
    },
    // Killed for being unresponsive; what was killed and does not say that it exited counts as gone all the same.
    killing: {
      on: {
        'child.exited': lost<Of<'child.exited'>>(isCurrent),
        deadline: lost<Of<'deadline'>>(due),
        'child.stop': stops,
      },
    },
    restarting: {
      on: {
        deadline: { guard: due, target: 'starting', actions: does(restartNow) },
        'child.stop': stopsAtOnce,
      },
    },
    rebuilding: {
      on: {
        deadline: { guard: due, target: 'starting', actions: does(rebuildNow) },
        'child.stop': stopsAtOnce,
      },
    },
    stopping: {
      on: {
        'child.exited': { guard: isCurrent, target: 'stopped', actions: does(stopped) },
        deadline: { guard: due, target: 'stopped', actions: does(stopped) },
      },
    },
    failed: { type: 'final' },
    stopped: { type: 'final' },
  },
});
