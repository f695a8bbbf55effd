import { createActor, type AnyActor, type AnyMachineSnapshot } from 'xstate';
import type { Address } from '../machines/address.ts';
import type { CatalogueEntry } from '../machines/catalogue.ts';
import type { Effect } from '../machines/effect.ts';

/** What every machine's context holds for its host. */
export interface HostedContext {
  /** Milliseconds since the epoch at which the machine wants a `deadline` message. */
  readonly deadline: number | null;
  /** What it waits for from outside the ring, as `run:<start>`. */
  readonly waits: string | null;
  /** What it is listed by. */
  readonly label: string | null;
}

/** Where a machine stands: all that is kept of it. */
export interface Standing {
  readonly value: string;
  readonly context: HostedContext;
}

/** An actor in memory. It is started when the first message reaches it, not when its session wakes. */
export interface Hosted {
  readonly key: string;
  readonly address: Address;
  readonly entry: CatalogueEntry;
  /** Reached a final state or failed: takes no more messages. */
  readonly ended: () => boolean;
  readonly standing: () => Standing;
  /** Lets the machine take a message; false when it threw, and then only `restore` makes sense. */
  readonly take: (message: { readonly type: string }) => boolean;
  /** What it threw last. */
  readonly thrown: () => unknown;
  /** Goes back to a standing, or to nothing taken yet with null. */
  readonly restore: (standing: Standing | null) => void;
  /** Ends it where it stands: it has thrown too often. */
  readonly giveUp: () => void;
  readonly stop: () => void;
}

/** Hosts one machine. `onEffect` is called while `take` runs, in the order in which the machine says. */
export const createHosted = (
  address: Address,
  key: string,
  entry: CatalogueEntry,
  stored: { readonly standing: Standing; readonly ended: boolean } | null,
  onEffect: (effect: Effect) => void,
): Hosted => {
  let standing = stored?.standing ?? null;
  let ended = stored?.ended ?? false;
  let actor: AnyActor | null = null;
  let thrown: unknown;

  const start = (): AnyActor => {
    const started = createActor(
      entry.machine,
      standing === null ? {} : { snapshot: entry.machine.resolveState(standing as never) },
    );
    started.on('*', (effect) => onEffect(effect as unknown as Effect));
    // Without an observer a throw in a machine would end the thread.
    started.subscribe({
      error: (error) => {
        thrown = error;
      },
    });
    started.start();
    return started;
  };

  const current = (): Standing => {
    if (actor === null && standing !== null) return standing;
    actor ??= start();
    const { value, context } = actor.getSnapshot() as AnyMachineSnapshot;
    return { value: value as string, context: context as HostedContext };
  };

  return {
    key,
    address,
    entry,
    ended: () => ended,
    standing: current,
    take: (message) => {
      try {
        actor ??= start();
      } catch (error) {
        // It was stored in a state that its machine does not know.
        thrown = error;
        return false;
      }
      actor.send(message);
      const { status } = actor.getSnapshot() as AnyMachineSnapshot;
      if (status === 'error') return false;
      ended = status === 'done';
      return true;
    },
    thrown: () => thrown,
    restore: (to) => {
      actor?.stop();
      actor = null;
      standing = to;
      ended = false;
    },
    giveUp: () => {
      standing = { value: 'failed', context: { ...current().context, deadline: null, waits: null } };
      actor?.stop();
      actor = null;
      ended = true;
    },
    stop: () => void actor?.stop(),
  };
};
