import type { AedesClient, DrainCallback } from './aedes-client.ts';
import type { GuardedWire } from './wire-guard.ts';

export interface DrainWaitOptions {
  readonly stallMs: number;
  readonly maxStallMs: number;
  /** The network has taken nothing for `maxStallMs`. */
  readonly onFrozen: () => void;
}

/**
 * How those who publish wait for a subscriber whose connection is full. A healthy one makes them as slow as itself; one
 * that does not drain holds them up once, for `stallMs`, and from then on only fills its own backlog.
 */
export const waitsForDrain = (client: AedesClient, wire: GuardedWire, options: DrainWaitOptions): void => {
  let waiting: DrainCallback[] = [];
  let stalled = false;
  let timer: NodeJS.Timeout | undefined;

  const release = (): void => {
    const all = waiting;
    waiting = [];
    for (const callback of all) setImmediate(callback, null, client);
  };
  const watch = (taken: number): void => {
    timer = setTimeout(() => {
      const now = wire.takenBytes();
      if (now === taken) options.onFrozen();
      else watch(now);
    }, options.maxStallMs);
    timer.unref();
  };
  const settle = (): void => {
    clearTimeout(timer);
    timer = undefined;
    stalled = false;
    release();
  };

  // Aedes emits `drain` itself when it closes a client, so nobody waits for one that has gone.
  wire.stream.on('drain', settle);
  wire.stream.once('close', settle);
  client.waitForDrain = (callback) => {
    if (stalled || wire.stream.destroyed) {
      setImmediate(callback, null, client);
      return;
    }
    waiting.push(callback);
    timer ??= setTimeout(() => {
      stalled = true;
      release();
      watch(wire.takenBytes());
    }, options.stallMs).unref();
  };
};
