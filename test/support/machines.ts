import { assign, emit, setup } from 'xstate';
import type { Address } from '../../machines/address.ts';
import { catalogue as real, type Catalogue } from '../../machines/catalogue.ts';
import type { Effect } from '../../machines/effect.ts';

interface Context {
  readonly deadline: number | null;
  readonly waits: string | null;
  readonly label: string | null;
  readonly count: number;
}

/** What a counter understands. */
export type CounterMessage =
  | { readonly type: 'open' | 'count' | 'throw' | 'exit' | 'spin' | 'finish' }
  /** Counts and goes on to the next of the route until no hop is left; the last one answers. */
  | { readonly type: 'pass'; readonly route: readonly Address[]; readonly hops: number }
  /** Sends itself messages without end. */
  | { readonly type: 'flood'; readonly self: Address }
  | { readonly type: 'arm'; readonly after_ms: number }
  | { readonly type: 'deadline' };

type Incoming = CounterMessage & { readonly at: number };
interface Args {
  readonly context: Context;
  readonly event: Incoming;
}

const say = (decide: (args: Args) => Effect) => emit<Context, Incoming, undefined, Incoming, Effect>(decide as never);
const counted = assign<Context, Incoming, undefined, Incoming, never>({ count: ({ context }) => context.count + 1 });
const answered = say(({ context }) => ({ type: 'reply', answer: { ok: true, body: { count: context.count } } }));
const told = (what: string) =>
  say(({ context, event }) => ({
    type: 'event',
    event: 'execution_output',
    subject: 'counter',
    data: { what, count: context.count, at: event.at, due: context.deadline },
  }));
const passedOn = say(({ event }) => {
  if (event.type !== 'pass' || event.hops === 0)
    return { type: 'reply', answer: { ok: true, body: { arrived: true } } };
  const hops = event.hops - 1;
  const message = { ...event, hops };
  return { type: 'send', to: event.route[hops % event.route.length] as Address, message };
});

/** Counts, also across shards, sets deadlines, and throws, exits, spins and floods on demand. */
const counter = setup({ types: {} as { context: Context; events: Incoming; emitted: Effect } }).createMachine({
  id: 'counter',
  context: { deadline: null, waits: null, label: null, count: 0 },
  initial: 'open',
  states: {
    open: {
      on: {
        open: { actions: [answered] as never },
        count: { actions: [counted, told('counted'), answered] as never },
        pass: { actions: [counted, told('passed'), passedOn] as never },
        arm: {
          actions: [
            assign({ deadline: ({ event }) => (event.type === 'arm' ? event.at + event.after_ms : null) }),
            answered,
          ] as never,
        },
        deadline: { actions: [counted, told('woken'), assign({ deadline: null })] as never },
        throw: {
          actions: [
            counted,
            told('never seen'),
            () => {
              throw new Error('a machine that throws');
            },
          ] as never,
        },
        exit: { actions: () => process.exit(3) },
        spin: {
          actions: () => {
            for (;;);
          },
        },
        flood: {
          actions: say(({ event }) => ({
            type: 'send',
            to: (event as Extract<Incoming, { type: 'flood' }>).self,
            message: event,
          })) as never,
        },
        finish: { target: 'finished', actions: answered as never },
      },
    },
    finished: { type: 'final' },
  },
});

/**
 * A catalogue for the tests of the runtime: the real machines, and one that misbehaves in every way a machine can. A
 * shard worker imports it like the real one.
 */
export const catalogue: Catalogue = {
  ...real,
  counter: { machine: counter, version: 1, openedBy: 'open' },
};

export const counterAddress = (session: string, id = 'counter'): Address => ({
  session: session as Address['session'],
  kind: 'counter',
  id,
});
