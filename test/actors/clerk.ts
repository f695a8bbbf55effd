import { assign, emit, setup } from 'xstate';
import type { Catalogue } from '../../machines/catalogue.ts';
import type { Effect } from '../../machines/effect.ts';

interface Context {
  readonly deadline: number | null;
  readonly waits: null;
  readonly label: null;
  readonly names: readonly string[];
}

/** What a clerk understands, apart from being opened. */
export interface ClerkMessage {
  readonly type: 'record' | 'name' | 'spoil';
  readonly what: string;
}
type Incoming = (ClerkMessage | { readonly type: 'open' | 'deadline'; readonly what?: undefined }) & {
  readonly at: number;
};

const say = (decide: (args: { readonly event: Incoming }) => Effect) =>
  emit<Context, Incoming, undefined, Incoming, Effect>(decide as never);
const answered = say(() => ({ type: 'reply', answer: { ok: true, body: {} } }));
const recorded = say(({ event }) => ({
  type: 'audit',
  audit: 'command_accepted',
  data: { what: event.what ?? event.type },
}));

/** Records what it is told in the audit, takes names as its aliases, and throws after it has recorded that it will. */
const clerk = setup({ types: {} as { context: Context; events: Incoming; emitted: Effect } }).createMachine({
  context: { deadline: null, waits: null, label: null, names: [] },
  initial: 'open',
  states: {
    open: {
      on: {
        open: { actions: [assign({ deadline: ({ event }) => event.at + 60_000 }), answered] as never },
        record: { actions: [recorded, answered] as never },
        name: { actions: [assign({ names: ({ event }) => [event.what as string] }), answered] as never },
        spoil: {
          actions: [
            recorded,
            () => {
              throw new Error('a machine that throws');
            },
          ] as never,
        },
        // Changes nothing of it.
        deadline: { actions: recorded as never },
      },
    },
  },
});

/** A catalogue with clerks in the place of counters; a shard worker imports it like the real one. */
export const catalogue: Catalogue = {
  counter: { machine: clerk, version: 1, openedBy: 'open', aliases: ({ names }: Context) => names },
};
