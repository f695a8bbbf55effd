import type { Domain, VirtualWorld } from './virtual-world.ts';

/** Carries what one part says to another; when it arrives is the scheduler's choice. */
export interface Channel {
  /** Hands over `task`, which runs in the receiver's domain if that is still alive then. */
  send(task: () => void): void;
  /** While true nothing arrives. */
  stalled: boolean;
  /** What is under way is lost. */
  drop(): void;
  readonly size: () => number;
  /** The newest arrives twice. */
  double(): void;
}

export interface Channels {
  /** `unordered` as a network without connections: anything may overtake anything. */
  open(receiver: Domain, unordered?: boolean): Channel;
  /** Lets one message arrive on a channel of the scheduler's choice; false where none can. */
  deliver(): boolean;
  /** All that are open and have something under way. */
  busy(): readonly Channel[];
}

export const createChannels = (world: VirtualWorld): Channels => {
  let all: (Channel & { readonly receiver: Domain; take(): (() => void) | undefined })[] = [];

  const busy = () => {
    let dead = false;
    const found = all.filter((channel) => {
      dead ||= !channel.receiver.alive;
      return channel.receiver.alive && !channel.stalled && channel.size() > 0;
    });
    if (dead) all = all.filter(({ receiver }) => receiver.alive);
    return found;
  };

  return {
    open: (receiver, unordered = false) => {
      let waiting: (() => void)[] = [];
      const channel = {
        receiver,
        stalled: false,
        send: (task: () => void) => void waiting.push(task),
        drop: () => {
          waiting = [];
        },
        double: () => {
          const newest = waiting.at(-1);
          if (newest !== undefined) waiting.push(newest);
        },
        size: () => waiting.length,
        take: () => (unordered ? waiting.splice(world.draw(waiting.length), 1)[0] : waiting.shift()),
      };
      all.push(channel);
      return channel;
    },
    deliver: () => {
      const ready = busy();
      const chosen = ready[world.draw(ready.length)];
      const task = chosen?.take();
      if (chosen === undefined || task === undefined) return false;
      world.within(chosen.receiver, task);
      return true;
    },
    busy,
  };
};
