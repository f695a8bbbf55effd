import { fullJitter } from '../machines/backoff.ts';
import { problem } from '../machines/error.ts';
import { createEstimate } from './agent-estimate.ts';
import { openLane, type Attempt, type Lane, type LaneOptions } from './agent-lane.ts';
import type { StopReason } from './agent-messages.ts';
import { agentPoolSettings, type AgentLogEntry, type AgentPoolOptions } from './agent-options.ts';
import { createAgentPending } from './agent-pending.ts';
import { createAgentPlaces } from './agent-places.ts';
import { createAgentQueue, type Waiting } from './agent-queue.ts';
import { createRunReports } from './agent-reports.ts';
import { createAgentThreads } from './agent-threads.ts';
import type { Agents } from './agents.ts';
import { stopwatch } from './clock.ts';

export interface AgentPool extends Agents {
  /** Resolves when every thread has loaded the commands; rejects with what is wrong with the first that has not. */
  readonly ready: Promise<void>;
  /** Threads that can run something now. */
  readyThreads(): number;
}

/** Work that is accepted ahead, so that no thread waits for the ring: milliseconds a thread, and executions in all. */
const LEAD_MS = 50;
const MAX_LEAD = 1_000;
/** Work sent to a thread in one go, so that one message carries many short runs, and a long one travels alone. */
const BATCH_MS = 4;
const MAX_BATCH = 64;
const TICK_MS = 20;
/** Ticks between two looks at the memory of a thread that has been at one run, and of any other. */
const LONG_RUN_TICKS = 3;
const ANY_RUN_TICKS = 50;
const RESTART = { base_ms: 200, cap_ms: 30_000 };
const MAX_DETAIL = 500;

/**
 * Runs handlers on threads, one at a time on each. What is waiting is in the pool and not in the threads, except for a
 * few milliseconds of work, and that can be taken back until it begins.
 *
 * Runs and their ends travel as texts beside Comlink, which carries the rest of a handler's context and all control.
 * Main thread's time of a run that does nothing, 256 in flight, 2 cores: 3 µs this way; 12 µs as a Comlink call (41 µs
 * one at a time); 12 to 24 µs as a Piscina task that can be aborted, whatever its atomics.
 */
export const createAgentPool = (options: AgentPoolOptions): AgentPool => {
  const {
    report,
    onLog,
    history,
    graceMs,
    maxHeapMb,
    hardHeapMb,
    startMs,
    threads: count,
    ...settings
  } = agentPoolSettings(options);
  const { modules, roots, dataDirectory, artifacts } = settings;
  const estimate = createEstimate();
  const queue = createAgentQueue();
  const places = createAgentPlaces();
  const reports = createRunReports(report, onLog);
  /** The runs that somebody waits for. */
  const attempts = new Map<string, Attempt>();
  /** Those that wait for a thread. */
  const pending = createAgentPending();
  const lanes = new Set<Lane>();
  /** Lanes whose run takes longer than expected: they get nothing until it has ended. */
  const held = new Set<Lane>();
  const restarts = new Set<NodeJS.Timeout>();
  let failures = 0;
  let generation = 0;
  let dispatching = false;
  /** Nothing new is promised a place; what was promised one is still run. */
  let closing = false;
  /** Nothing begins any more. */
  let halting = false;
  let forced = false;
  let onIdle: (() => void) | null = null;
  let ticker: NodeJS.Timeout | undefined;
  let ticks = 0;

  const log = (level: AgentLogEntry['level'], message: string, fields: Record<string, unknown> = {}): void =>
    onLog({ level, message, fields, source: null });
  const threads = createAgentThreads({
    threads: count,
    hardHeapMb,
    onError: (error) => log('error', 'an idle agent thread failed', { error: String(error) }),
  });
  const ready = Promise.withResolvers<void>();
  // Whoever starts the pool looks at it; the pool itself goes on trying.
  ready.promise.catch(() => {});

  const occupied = (): number => {
    let sum = pending.size();
    for (const lane of lanes) sum += lane.size();
    return sum;
  };
  /** More was accepted ahead than the threads get done in time. */
  const isLate = (): boolean => stopwatch() - (pending.since() ?? Infinity) > LEAD_MS;
  const hasPlace = (): boolean => {
    const lead = isLate() ? 0 : Math.min(MAX_LEAD, Math.floor((count * LEAD_MS) / estimate.mean()));
    return places.size() + occupied() < count + lead;
  };

  const give = (waiting: Waiting): void => {
    places.offer(waiting, stopwatch());
    report(waiting.execution, waiting.place, { type: 'execution.start' });
  };

  /** Gives free places to who waits longest for them. */
  const offer = (): void => {
    while (!closing && queue.size() > 0 && hasPlace()) {
      const waiting = queue.take();
      if (waiting === null) return;
      give(waiting);
    }
  };

  /**
   * Where one session's runs turn out to be long, they are all before whoever comes next. So the first in the queue of a
   * session that has none there gets a place beside them, and its turn comes with the next thread that is free.
   */
  const offerNewcomer = (): void => {
    if (closing || queue.size() === 0 || !isLate() || places.size() + occupied() >= 2 * MAX_LEAD) return;
    const offered = places.sessions();
    const waiting = queue.takeWhere((session) => !pending.has(session) && !offered.has(session));
    if (waiting !== null) give(waiting);
  };

  /** The least loaded lane that may take so much more, of those whose work is nearly done. */
  const laneFor = (expectedMs: number, open: readonly Lane[]): Lane | null => {
    let best: Lane | null = null;
    for (const lane of open) {
      if (lane.size() > 0 && lane.load() + expectedMs > BATCH_MS) continue;
      if (best === null || lane.load() < best.load()) best = lane;
    }
    return best;
  };

  const dispatch = (): void => {
    dispatching = false;
    // Lanes are filled up when they are half empty, not after each run: that makes batches.
    const open = [...lanes].filter((lane) => lane.ready() && !held.has(lane) && lane.load() <= BATCH_MS / 2);
    pending.drain((attempt) => {
      const expectedMs = Math.min(BATCH_MS, Math.max(BATCH_MS / MAX_BATCH, estimate.of(attempt.run.command)));
      const lane = laneFor(expectedMs, open);
      if (lane === null) return false;
      attempt.expectedMs = expectedMs;
      lane.add(attempt);
      return true;
    });
    for (const lane of open) lane.flush();
  };

  const schedule = (): void => {
    ticker ??= setInterval(tick, TICK_MS);
    if (dispatching || pending.size() === 0) return;
    dispatching = true;
    queueMicrotask(dispatch);
  };

  const requeue = (back: readonly Attempt[]): void => {
    pending.back(back.filter(({ stopped }) => !stopped));
    schedule();
  };

  const settled = (attempt: Attempt): void => {
    if (attempt.grace !== null) clearTimeout(attempt.grace);
    const { execution_id } = attempt.run;
    if (attempts.get(execution_id) === attempt) attempts.delete(execution_id);
    told();
  };
  const isIdle = (): boolean => attempts.size === 0 && places.size() === 0;
  const told = (): void => {
    if (isIdle()) onIdle?.();
  };

  /** Ends the thread after the grace time if it is still at this attempt. */
  const endAfterGrace = (attempt: Attempt, why: string): void => {
    attempt.grace ??= setTimeout(() => {
      if (attempt.lane?.running() === attempt) attempt.lane.kill(`${why} and did not return within ${graceMs} ms`);
    }, graceMs);
  };

  const halt = (attempt: Attempt, reason: StopReason): void => {
    attempt.stopped = true;
    const { lane } = attempt;
    if (lane === null) pending.remove(attempt);
    else requeue(lane.takeBack());
    settled(attempt);
    if (attempt.lane === null) return;
    held.add(attempt.lane);
    attempt.lane.abort(attempt, reason);
    attempt.grace = null;
    endAfterGrace(attempt, `the handler was to end (${reason})`);
  };

  const onEnd: LaneOptions['onEnd'] = (lane, attempt, end) => {
    held.delete(lane);
    failures = 0;
    settled(attempt);
    if (!attempt.stopped) {
      estimate.learn(attempt.run.command, end.took_ms);
      reports.ended(attempt, end);
    }
    offer();
    schedule();
  };

  const crashed = (attempt: Attempt, reason: string): void => {
    settled(attempt);
    if (attempt.stopped || forced) return;
    const lost = problem('handler_crashed', `the command ended its thread: ${reason.slice(0, MAX_DETAIL)}`);
    const failed = { problem: attempt.doom ?? lost, retryable: attempt.doom === null, artifacts: [] };
    reports.ended(attempt, failed as never);
  };

  const onGone: LaneOptions['onGone'] = (lane, reason, running, unbegun) => {
    lanes.delete(lane);
    held.delete(lane);
    if (running !== null) crashed(running, reason);
    if (forced) return;
    requeue(unbegun);
    offer();
    const { execution_id: execution, command } = running?.run ?? { execution_id: null, command: null };
    log(running === null ? 'error' : 'warn', 'an agent thread has ended', { reason, execution, command });
    if (running !== null) return open();
    failures += 1;
    ready.reject(new Error(reason));
    const born = generation;
    const again = setTimeout(
      () => {
        restarts.delete(again);
        // Piscina starts no more workers once one has failed before it was up; with all down, a new pool is the cure.
        if (born === generation && readyThreads() === 0) {
          generation += 1;
          threads.rebuild();
        }
        open();
      },
      fullJitter(failures, Math.random(), RESTART),
    );
    restarts.add(again);
  };

  const on: LaneOptions['on'] = {
    ...reports.on,
    history: (_, { place }) => history(place.session),
    doom: (_, attempt, doom) => {
      attempt.doom = doom;
      endAfterGrace(attempt, doom.detail);
    },
  };

  const readyThreads = (): number => [...lanes].filter((lane) => lane.ready()).length;

  const open = (): void => {
    const lane = openLane({
      threads,
      task: { modules, roots, dataDirectory, artifacts },
      startMs,
      onReady: () => {
        if (readyThreads() === count) ready.resolve();
        schedule();
      },
      onEnd,
      onGone,
      on,
    });
    lanes.add(lane);
  };

  const watchMemory = (lane: Lane): void => {
    void lane.usedMb().then((used) => {
      if (used !== null && used > maxHeapMb) lane.kill(`more than ${maxHeapMb} MB of memory in use`);
    });
  };

  const tick = (): void => {
    ticks += 1;
    for (const waiting of places.expire(stopwatch())) queue.add(waiting);
    told();
    for (const lane of lanes) {
      const long = lane.unchanged();
      if (long !== null && !held.has(lane)) {
        held.add(lane);
        estimate.learn(long.run.command, TICK_MS);
        requeue(lane.takeBack());
      }
      if (ticks % (long === null ? ANY_RUN_TICKS : LONG_RUN_TICKS) === 0) watchMemory(lane);
    }
    offer();
    offerNewcomer();
    if (occupied() + places.size() + queue.size() > 0) return;
    clearInterval(ticker);
    ticker = undefined;
  };

  const idleWithin = async (ms: number): Promise<void> => {
    if (isIdle()) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      onIdle = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
  };

  for (let each = 0; each < count; each++) open();

  return {
    ready: ready.promise,
    readyThreads,
    reserve: (execution) => {
      if (closing) return false;
      if (places.has(execution) || attempts.has(execution)) return true;
      // Who waits in the queue was there before.
      if (queue.size() > 0 || !hasPlace()) return false;
      places.reserve(execution, stopwatch());
      schedule();
      return true;
    },
    release: (execution) => {
      if (places.clear(execution)) offer();
      told();
    },
    enqueue: (execution, place, priority) => {
      if (closing || places.isOffered(execution) || attempts.has(execution)) return;
      places.clear(execution);
      queue.add({ execution, place, priority });
      offer();
      schedule();
    },
    run: (run, place) => {
      const { execution_id } = run;
      if (halting || (closing && !places.has(execution_id))) return;
      places.clear(execution_id);
      queue.remove(execution_id);
      const before = attempts.get(execution_id);
      if (before !== undefined) {
        if (before.run.start === run.start) return;
        halt(before, 'cancelled');
      }
      const since = stopwatch();
      const attempt: Attempt = {
        run,
        place,
        since,
        turn: 0,
        expectedMs: 0,
        stopped: false,
        doom: null,
        grace: null,
        lane: null,
      };
      attempts.set(execution_id, attempt);
      pending.add(attempt);
      schedule();
    },
    stop: (execution, reason) => {
      queue.remove(execution);
      places.clear(execution);
      const attempt = attempts.get(execution);
      if (attempt !== undefined) halt(attempt, reason);
      offer();
      told();
    },
    has: (execution, start) => attempts.get(execution)?.run.start === start,
    depth: () => ({ queued: queue.size(), reserved: places.size(), running: attempts.size }),
    close: async (closeGraceMs) => {
      closing = true;
      const last = Math.min(graceMs, closeGraceMs / 2);
      await idleWithin(closeGraceMs - last);
      halting = true;
      pending.clear();
      for (const lane of lanes) {
        lane.takeBack();
        const running = lane.running();
        if (running !== null && !running.stopped) lane.abort(running, 'shutdown');
      }
      for (const attempt of attempts.values()) if (attempt.lane === null) settled(attempt);
      await idleWithin(last);
      forced = true;
      ready.reject(new Error('the pool was closed'));
      clearInterval(ticker);
      for (const timer of restarts) clearTimeout(timer);
      for (const attempt of attempts.values()) settled(attempt);
      await threads.close();
    },
  };
};
