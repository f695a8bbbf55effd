import fc from 'fast-check';
import type { Script } from './handlers.ts';

/** What needs no more than somebody and something. */
export interface PlainAction {
  readonly do:
    | 'ask'
    | 'vote'
    | 'cancel'
    | 'get'
    | 'list'
    | 'leave'
    | 'register'
    | 'intrude'
    | 'join'
    | 'unshare'
    | 'revoke'
    | 'close';
  readonly who: number;
  readonly which: number;
}

/** What is done in a history, one after the other. Numbers choose among what is there then. */
export type Action =
  | {
      readonly do: 'execute';
      readonly who: number;
      readonly session: number;
      readonly command: 'work' | 'look' | 'danger' | 'guarded';
      readonly script: Script;
      readonly key: number | null;
      readonly timeout: number;
      readonly priority: number;
      readonly wait: number;
      readonly mqtt: boolean;
    }
  | PlainAction
  | {
      readonly do: 'share';
      readonly who: number;
      readonly which: number;
      readonly limits: Readonly<Record<string, unknown>>;
    }
  | { readonly do: 'steps'; readonly count: number }
  | { readonly do: 'advance' | 'wall'; readonly ms: number }
  | { readonly do: 'fail' | 'unknown'; readonly writes: number }
  | { readonly do: 'full' | 'slow' | 'recover' | 'kill' }
  | { readonly do: 'worker' | 'crash' | 'break' | 'stall' | 'double' | 'input'; readonly which: number };

export interface History {
  /** Of all that the scheduler and the system's sources of randomness draw. */
  readonly seed: number;
  readonly actions: readonly Action[];
}

const nat = (max: number): fc.Arbitrary<number> => fc.nat({ max });

const script: fc.Arbitrary<Script> = fc.record({
  ms: fc.oneof(nat(300), fc.constant(60_000)),
  failures: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, nat(5)),
  terminal: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.boolean()),
  output: nat(3),
  progress: nat(3),
  steps: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, nat(3)),
  sleep: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, nat(15_000)),
});

const limits = fc.oneof(
  fc.record({ max_operations: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ max_concurrent: fc.integer({ min: 1, max: 2 }), max_operations: fc.constant(10) }),
  fc.record({ expires_in: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ read_only: fc.constant(true) }),
  fc.record({ may_share: fc.constant(true), max_operations: fc.integer({ min: 1, max: 4 }) }),
);

const one = (name: Action['do'], weight: number, of: Record<string, fc.Arbitrary<unknown>> = {}) => ({
  weight,
  arbitrary: fc.record({ do: fc.constant(name), ...of }) as unknown as fc.Arbitrary<Action>,
});
const by = { who: nat(7), which: nat(31) };

const actions: fc.Arbitrary<Action> = fc.oneof(
  one('execute', 14, {
    who: nat(7),
    session: nat(3),
    command: fc.constantFrom('work', 'work', 'look', 'danger', 'guarded'),
    script,
    key: fc.option(nat(2), { freq: 3 }),
    timeout: fc.constantFrom(1, 5, 120),
    priority: fc.constantFrom(0, 0, 5),
    wait: fc.constantFrom(0, 0, 3),
    mqtt: fc.boolean(),
  }),
  one('steps', 22, { count: fc.integer({ min: 1, max: 80 }) }),
  one('cancel', 2, by),
  one('get', 1, by),
  one('list', 2, by),
  one('leave', 1, by),
  one('register', 1, by),
  one('intrude', 1, by),
  one('share', 5, { ...by, limits }),
  one('join', 6, by),
  one('unshare', 2, by),
  one('revoke', 1, by),
  one('close', 1, by),
  one('advance', 3, { ms: fc.oneof(nat(200), nat(20_000)) }),
  one('wall', 1, { ms: fc.constantFrom(3_600_000, -3_600_000) }),
  one('fail', 1, { writes: fc.integer({ min: 1, max: 3 }) }),
  one('unknown', 1, { writes: fc.integer({ min: 1, max: 2 }) }),
  one('full', 1),
  one('slow', 1),
  one('recover', 3),
  one('kill', 3),
  one('worker', 6, { which: nat(1) }),
  one('crash', 2, { which: nat(3) }),
  one('break', 1, { which: nat(7) }),
  one('stall', 1, { which: nat(7) }),
  one('double', 1, { which: nat(7) }),
  one('input', 3, { which: nat(1) }),
  one('ask', 2, by),
  one('vote', 6, by),
);

export const histories: fc.Arbitrary<History> = fc.record({
  seed: fc.nat({ max: 2 ** 31 - 1 }),
  actions: fc.array(actions, { minLength: 1, maxLength: 40, size: 'max' }),
});
