import { MessageChannel } from 'node:worker_threads';
import type { Run } from '../machines/effect.ts';
import type { Problem } from '../machines/error.ts';
import { claimed, nextNumber, withdraw } from './agent-claims.ts';
import type { AgentTask, PoolMethods, RunEnd, RunLine, StopReason, ThreadMethods } from './agent-messages.ts';
import type { AgentThreads } from './agent-threads.ts';
import type { RunPlace } from './agents.ts';
import { createRpc } from './rpc.ts';

/** One run, from the moment the pool has it until it has ended. */
export interface Attempt {
  readonly run: Run;
  readonly place: RunPlace;
  /** When the pool got it, ms of the pool's stopwatch. */
  readonly since: number;
  /** Its place among those that wait for a thread, see `agent-pending.ts`. */
  turn: number;
  /** What it is expected to take, fixed when it is sent, so that a lane's load goes back to what it was. */
  expectedMs: number;
  /** Nobody wants to hear of it any more. */
  stopped: boolean;
  /** What it is to end with if its thread has to be ended. */
  doom: Problem | null;
  /** Runs while its handler has the grace time to return. */
  grace: NodeJS.Timeout | null;
  /** Where it was sent; null while it waits for a thread. */
  lane: Lane | null;
}

export interface LaneOptions {
  readonly threads: AgentThreads;
  readonly task: Pick<AgentTask, 'modules' | 'roots' | 'dataDirectory' | 'artifacts'>;
  /** How long the thread may take to load the commands. */
  readonly startMs: number;
  readonly onReady: (lane: Lane) => void;
  readonly onEnd: (lane: Lane, attempt: Attempt, end: RunEnd) => void;
  /** The thread is gone. `running` had begun and not ended; `unbegun` had not. */
  readonly onGone: (lane: Lane, reason: string, running: Attempt | null, unbegun: readonly Attempt[]) => void;
  /** What a running attempt's thread calls, `attempt` in place of its number. */
  readonly on: {
    readonly [Name in keyof PoolMethods]: (
      lane: Lane,
      attempt: Attempt,
      ...args: Rest<PoolMethods[Name]>
    ) => ReturnType<PoolMethods[Name]>;
  };
}

type Rest<Method> = Method extends (n: number, ...args: infer Args) => void ? Args : never;

/** One agent thread as the pool sees it. */
export interface Lane {
  readonly ready: () => boolean;
  /** Milliseconds of work that it has, as far as is known. */
  readonly load: () => number;
  /** Attempts sent and not ended. */
  readonly size: () => number;
  /** Adds an attempt; `flush` sends all that were added. */
  add(attempt: Attempt): void;
  flush(): void;
  /** Takes back, in order, what has not begun. */
  takeBack(): Attempt[];
  /** What has begun and not ended. */
  running(): Attempt | null;
  /** What has begun, if it has not changed since the last call, else null. */
  unchanged(): Attempt | null;
  abort(attempt: Attempt, reason: StopReason): void;
  credit(attempt: Attempt, bytes: number): void;
  recorded(attempt: Attempt, key: string): void;
  usedMb(): Promise<number | null>;
  /** Ends the thread; `reason` is what `onGone` is told. */
  kill(reason: string): void;
}

/** How long the port may stay open after the thread's task has ended. */
const LINGER_MS = 1_000;

export const openLane = ({ threads, task, startMs, onReady, onEnd, onGone, on }: LaneOptions): Lane => {
  const { port1: port, port2 } = new MessageChannel();
  const claims = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const words = new Int32Array(claims);
  const attempts = new Map<number, Attempt>();
  const numbers = new Map<Attempt, number>();
  let next = 0;
  let load = 0;
  let unsent: RunLine[] = [];
  let threadId: number | null = null;
  let seen = 0;
  let failure: string | null = null;

  const forget = (n: number, attempt: Attempt): void => {
    attempts.delete(n);
    numbers.delete(attempt);
    attempt.lane = null;
    load -= attempt.expectedMs;
  };

  const relay =
    <Name extends keyof PoolMethods>(name: Name) =>
    (n: number, ...args: Rest<PoolMethods[Name]>): ReturnType<PoolMethods[Name]> | undefined => {
      const attempt = attempts.get(n);
      return attempt === undefined ? undefined : on[name](lane, attempt, ...args);
    };
  const rpc = createRpc<ThreadMethods>(
    port,
    {
      progress: relay('progress'),
      output: relay('output'),
      log: relay('log'),
      step: relay('step'),
      ask: relay('ask'),
      history: relay('history'),
      doom: relay('doom'),
    },
    { deadlineMs: startMs },
  );

  /** Runs end in order, so it is the first of those that have not. */
  const running = (): Attempt | null => {
    for (const [n, attempt] of attempts) return n === claimed(words) ? null : attempt;
    return null;
  };

  const takeBack = (): Attempt[] => {
    const back: Attempt[] = [];
    for (let n = withdraw(words, next); n !== next; n = nextNumber(n)) {
      const attempt = attempts.get(n);
      if (attempt === undefined) continue;
      forget(n, attempt);
      back.push(attempt);
    }
    unsent = [];
    return back;
  };

  const lane: Lane = {
    ready: () => threadId !== null,
    load: () => load,
    size: () => attempts.size,
    add: (attempt) => {
      attempts.set(next, attempt);
      numbers.set(attempt, next);
      attempt.lane = lane;
      load += attempt.expectedMs;
      unsent.push([next, attempt.place.session, attempt.run]);
      next = nextNumber(next);
    },
    flush: () => {
      if (unsent.length === 0) return;
      port.postMessage(JSON.stringify(unsent));
      unsent = [];
    },
    takeBack,
    running,
    unchanged: () => {
      const begun = claimed(words);
      const same = begun === seen;
      seen = begun;
      return same ? running() : null;
    },
    abort: (attempt, reason) => {
      const n = numbers.get(attempt);
      // A thread that does not answer is ended by who asked, after the grace time.
      if (n !== undefined) rpc.call('abort', n, reason).catch(() => {});
    },
    credit: (attempt, bytes) => {
      const n = numbers.get(attempt);
      if (n !== undefined) rpc.call('credit', n, bytes).catch(() => {});
    },
    recorded: (attempt, key) => {
      const n = numbers.get(attempt);
      if (n !== undefined) rpc.call('recorded', n, key).catch(() => {});
    },
    usedMb: async () => (threadId === null ? null : threads.usedMb(threadId)),
    kill: (reason) => {
      failure ??= reason;
      thread.kill();
    },
  };

  port.on('message', (message: unknown) => {
    if (typeof message !== 'string') return;
    const end = JSON.parse(message) as RunEnd;
    const attempt = attempts.get(end.n);
    if (attempt === undefined) return;
    forget(end.n, attempt);
    onEnd(lane, attempt, end);
  });
  const thread = threads.start({ ...task, port: port2, claims });

  // What a dying thread has posted comes before the port's end, so that no end of a run is lost with it.
  const portClosed = new Promise<void>((resolve) => port.once('close', resolve));
  void thread.ended.then(async (reason) => {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([portClosed, new Promise((resolve) => (timer = setTimeout(resolve, LINGER_MS)))]);
    clearTimeout(timer);
    threadId = null;
    const unbegun = takeBack();
    const last = running();
    if (last !== null) last.lane = null;
    attempts.clear();
    rpc.close();
    onGone(lane, failure ?? reason, last, unbegun);
  });

  rpc.call('load').then(
    ({ threadId: id }) => {
      threadId = id;
      onReady(lane);
    },
    (error: Error) => {
      // With a closed port the thread's own end says more.
      const { code } = error as { readonly code?: string };
      if (code !== 'ERR_RPC_CLOSED') lane.kill(error.message);
    },
  );
  return lane;
};
