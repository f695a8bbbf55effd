import { ProblemError } from '../machines/error.ts';
import { createPace } from './agent-pace.ts';

const PER_SECOND = 10;
const MAX_BYTES = 16 * 1024;

type Step = readonly [progress: number, message: string | null, metadata: Record<string, unknown>];

export interface Progress {
  /** Throws a `TypeError` for what is no number, `too_large` for more than 16 KiB of message and metadata. */
  tell(progress: number, message?: string, metadata?: Record<string, unknown>): void;
  /** Resolves when the last one is sent. */
  drain(): Promise<void>;
  discard(): void;
}

export interface ProgressOptions {
  readonly send: (...step: Step) => void;
  /** Milliseconds of any clock. */
  readonly now: () => number;
}

/** Sends the first at once, then the latest, at most ten a second, and the last always (contract, section 4). */
export const createProgress = ({ send, now }: ProgressOptions): Progress => {
  const pace = createPace(PER_SECOND);
  let latest: Step | null = null;
  let timer: NodeJS.Timeout | undefined;
  let hurry = false;
  let drained: (() => void) | null = null;

  const pump = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (latest === null) return;
    const wait = pace.wait(now(), hurry);
    if (wait > 0) {
      timer = setTimeout(pump, wait);
      return;
    }
    pace.sent(now());
    send(...latest);
    latest = null;
    drained?.();
  };

  return {
    tell: (progress, message, metadata) => {
      if (typeof progress !== 'number' || Number.isNaN(progress))
        throw new TypeError(`progress: expected a number from 0 to 100, got ${String(progress)}`);
      // Taken as JSON now: the handler may change the object, and the other side takes plain data only.
      const text = JSON.stringify([Math.min(100, Math.max(0, progress)), message ?? null, metadata ?? {}]);
      if (Buffer.byteLength(text) > MAX_BYTES)
        throw new ProblemError('too_large', `message and metadata of a progress may have ${MAX_BYTES} bytes`);
      latest = JSON.parse(text) as Step;
      if (timer === undefined) pump();
    },
    drain: () => {
      if (latest === null) return Promise.resolve();
      return new Promise((resolve) => {
        drained = resolve;
        hurry = true;
        pump();
      });
    },
    discard: () => {
      clearTimeout(timer);
      timer = undefined;
      latest = null;
      drained?.();
    },
  };
};
