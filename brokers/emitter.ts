import type { Router } from './router.ts';

/** A publication on its way through the broker. */
export interface EmittedPacket {
  readonly topic: string;
  readonly payload: Buffer;
}

/** Takes a publication and calls `done` once it has no more to do with it. */
export type EmitterListener = (packet: EmittedPacket, done: () => void) => void;

/** What Aedes asks of its `mq` option: where publications meet subscribers. */
export interface Emitter {
  on(filter: string, listener: EmitterListener, done?: () => void): void;
  removeListener(filter: string, listener: EmitterListener, done?: () => void): void;
  emit(packet: EmittedPacket, done: () => void): void;
  close(done: () => void): void;
}

/**
 * Everything here happens at once, in the caller's stack: a subscription holds from the next publication on and ends
 * with the last, and a publication has been given to every subscriber when `emitted` is called.
 */
export const createEmitter = (router: Router<EmitterListener>, emitted: () => void): Emitter => ({
  on: (filter, listener, done) => {
    router.add(filter, listener);
    done?.();
  },
  removeListener: (filter, listener, done) => {
    router.remove(filter, listener);
    done?.();
  },
  emit: (packet, done) => {
    const listeners = router.match(packet.topic);
    let left = listeners.length;
    const release = (): void => {
      if (--left === 0) done();
    };
    if (left === 0) done();
    else for (const listener of listeners) listener(packet, release);
    emitted();
  },
  close: (done) => void setImmediate(done),
});
