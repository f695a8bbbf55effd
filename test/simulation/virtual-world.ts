import { AsyncLocalStorage } from 'node:async_hooks';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import FakeTimers, { type Clock } from '@sinonjs/fake-timers';
import { createRandom } from '../support/random.ts';

/** Whatever may die at once with everything that it has under way: a process, a worker. */
export interface Domain {
  alive: boolean;
}

/**
 * Time and randomness for everything in this thread, so that a seed says all that happens. `setImmediate` and microtasks
 * stay as they are: without other I/O their order is fixed.
 */
export interface VirtualWorld {
  readonly random: () => number;
  /** A whole number from 0 to below `limit`. */
  draw(limit: number): number;
  /** Runs what belongs to a domain: timers that are set in it, however late, die with it. */
  within<T>(domain: Domain, task: () => T): T;
  /** Lets time pass and everything happen that is due. */
  advance(ms: number): void;
  /** Goes on to the next timer, at most `limitMs` from now; false where there is none. */
  advanceToNext(limitMs: number): boolean;
  /** Moves the wall clock; the monotonic one goes on. */
  moveWall(ms: number): void;
  now(): number;
  /** Gives time and randomness back. */
  end(): void;
}

const EPOCH = 1_800_000_000_000;
const FAKED = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'hrtime', 'performance'] as const;

const domains = new AsyncLocalStorage<Domain>();

/** Replaces the system's sources of randomness; the answer brings them back. */
const seedRandomness = (random: () => number): (() => void) => {
  const { randomBytes, randomFillSync } = crypto;
  const { random: mathRandom } = Math;
  const { getRandomValues } = globalThis.crypto;
  const fill = (view: ArrayBufferView): void => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    for (let at = 0; at < bytes.length; at++) bytes[at] = random() * 256;
  };
  const filled = <T extends ArrayBufferView>(view: T): T => {
    fill(view);
    return view;
  };
  Math.random = random;
  crypto.randomFillSync = filled as typeof randomFillSync;
  crypto.randomBytes = ((size: number) => filled(Buffer.alloc(size))) as unknown as typeof randomBytes;
  globalThis.crypto.getRandomValues = filled as typeof getRandomValues;
  syncBuiltinESMExports();
  return () => {
    Math.random = mathRandom;
    crypto.randomFillSync = randomFillSync;
    crypto.randomBytes = randomBytes;
    globalThis.crypto.getRandomValues = getRandomValues;
    syncBuiltinESMExports();
  };
};

/** Timers that do nothing once the domain in which they were set is dead. */
const mortalTimers = (clock: Clock): (() => void) => {
  const { setTimeout: later, setInterval: every } = globalThis;
  const bound = (task: (...args: unknown[]) => void, stop: () => void): (() => void) => {
    const domain = domains.getStore();
    if (domain === undefined) return task;
    return () => {
      if (domain.alive) domains.run(domain, task);
      else stop();
    };
  };
  globalThis.setTimeout = ((task: () => void, ms?: number) =>
    clock.setTimeout(
      bound(task, () => {}),
      ms ?? 0,
    )) as typeof later;
  globalThis.setInterval = ((task: () => void, ms?: number) => {
    const timer = clock.setInterval(
      bound(task, () => clock.clearInterval(timer)),
      ms ?? 0,
    );
    return timer;
  }) as typeof every;
  return () => {
    globalThis.setTimeout = later;
    globalThis.setInterval = every;
  };
};

export const createVirtualWorld = (seed: number): VirtualWorld => {
  const random = createRandom(seed);
  const clock = FakeTimers.install({ now: EPOCH, toFake: [...FAKED] });
  const ends = [mortalTimers(clock), seedRandomness(createRandom(seed ^ 0x5bd1e995))];
  return {
    random,
    draw: (limit) => Math.floor(random() * limit),
    within: (domain, task) => domains.run(domain, task),
    advance: (ms) => void clock.tick(ms),
    advanceToNext: (limitMs) => {
      const before = clock.now;
      // `next` has no limit of its own: an anchor makes sure that it does not go beyond.
      const anchor = clock.setTimeout(() => {}, limitMs);
      clock.next();
      clock.clearTimeout(anchor);
      return clock.now - before < limitMs;
    },
    moveWall: (ms) => clock.setSystemTime(clock.now + ms),
    now: () => clock.now,
    end: () => {
      for (const end of ends) end();
      clock.uninstall();
    },
  };
};
