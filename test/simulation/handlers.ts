import { createAgentPlaces } from '../../actors/agent-places.ts';
import { createAgentQueue } from '../../actors/agent-queue.ts';
import type { Agents, Report, RunPlace } from '../../actors/agents.ts';
import type { Run } from '../../machines/effect.ts';
import { problem } from '../../machines/error.ts';
import type { ExecutionMessage } from '../../machines/message.ts';

/** What a simulated handler does; the arguments of the commands of the simulation. */
export interface Script {
  /** How long it takes, in ms of the simulation. */
  readonly ms?: number;
  /** So many attempts fail in a way that may be tried again. */
  readonly failures?: number;
  /** Then it fails for good. */
  readonly terminal?: boolean;
  /** Pieces of output, told as it goes. */
  readonly output?: number;
  readonly progress?: number;
  /** Things that are done once, each as long as all the rest. */
  readonly steps?: number;
  /** Then it sleeps, in ms. */
  readonly sleep?: number;
}

export interface HandlersOptions {
  readonly report: Report;
  /** Runs at the same time. */
  readonly places: number;
  /** Told of what is not to be done twice: before it is done, and once it is known to be durable. */
  readonly onStep: (run: Run, key: string, done: boolean) => void;
  /** Told of every run before it begins. */
  readonly onRun: (run: Run, place: RunPlace) => void;
}

export interface Handlers extends Agents {
  /** The thread of one of those that run dies. */
  crash(choice: number): void;
}

/** What a run says, without its number. */
type Said =
  Extract<ExecutionMessage, { start: number }> extends infer M ? (M extends unknown ? Omit<M, 'start'> : never) : never;

const SLEEP = 'sleep:0';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const TICK_MS = 20;
const LATE_MS = 1_500;

/** The agents of a simulation: real places and a real queue, and handlers that do what their arguments say. */
export const createHandlers = ({ report, places: count, onRun, onStep }: HandlersOptions): Handlers => {
  const queue = createAgentQueue();
  const places = createAgentPlaces();
  const active = new Map<string, { readonly run: Run; readonly place: RunPlace }>();
  const now = (): number => performance.now();
  let closing = false;

  const hasPlace = (): boolean => places.size() + active.size < count;
  const offer = (): void => {
    while (!closing && queue.size() > 0 && hasPlace()) {
      const waiting = queue.take();
      if (waiting === null) return;
      places.offer(waiting, now());
      report(waiting.execution, waiting.place, { type: 'execution.start' });
    }
  };
  const ticker = setInterval(() => {
    for (const waiting of places.expire(now())) queue.add(waiting);
    offer();
  }, TICK_MS * 50);

  const perform = async (entry: { readonly run: Run; readonly place: RunPlace }): Promise<void> => {
    const { run, place } = entry;
    const { execution_id, start, attempt, recorded = [] } = run;
    const {
      ms = 0,
      failures = 0,
      terminal = false,
      output = 0,
      progress = 0,
      steps = 0,
      sleep = 0,
    } = run.args as Script;
    const runs = (): boolean => active.get(execution_id) === entry;
    const tell = (message: Said): ReturnType<Report> =>
      report(execution_id, place, { start, ...message } as ExecutionMessage);
    const isDone = (key: string): boolean => recorded.some((each) => each.key === key);
    const parts = Math.max(output, progress, 1);
    for (let part = 0; part < parts; part++) {
      await pause(ms / parts);
      if (!runs()) return;
      const reached = Math.round((100 * (part + 1)) / parts);
      if (part < progress) tell({ type: 'execution.progress', progress: reached, message: null, metadata: {} });
      if (part < output) tell({ type: 'execution.output', stream: 'stdout', chunk: `${start}.${part}` });
    }
    for (let step = 0; step < steps; step++) {
      const key = `step:${step}`;
      if (isDone(key)) continue;
      onStep(run, key, false);
      await pause(ms);
      if (!runs()) return;
      await tell({ type: 'execution.step', step: { key, result: step }, artifacts: [] }).committed;
      onStep(run, key, true);
      if (!runs()) return;
    }
    active.delete(execution_id);
    if (sleep > 0 && !isDone(SLEEP)) {
      const asked = [{ key: SLEEP, reason: 'sleep', remaining_ms: sleep }] as const;
      tell({ type: 'execution.wait', asked, suspended: true, artifacts: [] });
    } else if (attempt <= failures || terminal) {
      const retryable = attempt <= failures;
      const why = problem('handler_failed', retryable ? 'for now' : 'for good');
      tell({ type: 'execution.fail', problem: why, retryable, artifacts: [] });
    } else tell({ type: 'execution.complete', result: { attempt }, artifacts: [] });
    offer();
  };

  return {
    reserve: (execution) => {
      if (closing) return false;
      if (places.has(execution) || active.has(execution)) return true;
      if (queue.size() > 0 || !hasPlace()) return false;
      places.reserve(execution, now());
      return true;
    },
    release: (execution) => {
      if (places.clear(execution)) offer();
    },
    enqueue: (execution, place, priority) => {
      if (closing || places.isOffered(execution) || active.has(execution)) return;
      places.clear(execution);
      queue.add({ execution, place, priority });
      offer();
    },
    run: (run, place) => {
      onRun(run, place);
      if (closing) return;
      places.clear(run.execution_id);
      queue.remove(run.execution_id);
      const entry = { run, place };
      active.set(run.execution_id, entry);
      void perform(entry);
    },
    stop: (execution) => {
      queue.remove(execution);
      places.clear(execution);
      active.delete(execution);
      offer();
    },
    has: (execution, start) => active.get(execution)?.run.start === start,
    depth: () => ({ queued: queue.size(), reserved: places.size(), running: active.size }),
    close: async () => {
      closing = true;
      clearInterval(ticker);
    },
    crash: (choice) => {
      const entry = [...active.values()][choice % Math.max(1, active.size)];
      if (entry === undefined) return;
      const { run, place } = entry;
      active.delete(run.execution_id);
      // What it said last may come late: of an attempt that is over.
      const late = { type: 'execution.complete', start: run.start, result: { late: true }, artifacts: [] } as const;
      setTimeout(() => report(run.execution_id, place, late), LATE_MS);
      const lost = problem('handler_crashed', 'the command ended its thread');
      report(run.execution_id, place, {
        type: 'execution.fail',
        start: run.start,
        problem: lost,
        retryable: true,
        artifacts: [],
      });
      offer();
    },
  };
};
