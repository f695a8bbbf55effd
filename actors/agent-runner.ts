import { AsyncLocalStorage } from 'node:async_hooks';
import type { Command } from '../machines/command.ts';
import { ERRORS, fieldErrors, isProblem, problem, ProblemError, type Problem } from '../machines/error.ts';
import type { Asked } from '../machines/step.ts';
import { claim } from './agent-claims.ts';
import { openContext, type ContextOptions, type OpenContext } from './agent-context.ts';
import type { RunEnd, RunLine, StopReason } from './agent-messages.ts';

/** Bytes of a result that is sent along; a larger one becomes the artifact `result` (contract, section 2). */
const INLINE_RESULT_BYTES = 16 * 1024;
const MAX_DETAIL = 2_000;

export interface RunnerOptions extends Pick<ContextOptions, 'roots' | 'dataDirectory' | 'artifacts' | 'pool' | 'now'> {
  readonly commands: ReadonlyMap<string, Command>;
  readonly claims: Int32Array;
  readonly send: (end: RunEnd) => void;
  /** The thread has to end: it is not known what state it is in. */
  readonly leave: () => void;
}

/** Takes the runs of one thread, one after the other. */
export interface Runner {
  take(lines: readonly RunLine[]): void;
  abort(n: number, reason: StopReason): void;
  credit(n: number, bytes: number): void;
  recorded(n: number, key: string): void;
  /** Something was thrown where nothing catches it. */
  crashed(error: unknown): void;
}

type Failure = { readonly problem: Problem; readonly retryable: boolean };
/** How a run ends: by its handler, or because that waits for something. */
type Outcome = { readonly result: unknown } | Failure | { readonly asked: readonly Asked[] };

interface Current {
  readonly n: number;
  readonly opened: OpenContext;
}

const fail = (failed: Problem, retryable = false): Failure => ({ problem: failed, retryable });

const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, MAX_DETAIL);

/**
 * What a handler's throw says: a problem keeps its code, and the table of errors tells whether another attempt may help;
 * anything else is tried again unless it says `retryable: false`, as a `TerminalError` does.
 */
const failureOf = (error: unknown): Failure => {
  const { problem: told, retryable } = (error ?? {}) as { readonly problem?: unknown; readonly retryable?: unknown };
  if (!isProblem(told) || !Object.hasOwn(ERRORS, told.code)) {
    return fail(problem('handler_failed', messageOf(error)), retryable !== false);
  }
  const small = Buffer.byteLength(JSON.stringify(told)) <= INLINE_RESULT_BYTES;
  return fail(small ? told : problem(told.code, messageOf(told.detail)), ERRORS[told.code].retry);
};

const STOPPED = {
  cancelled: (): Error => new ProblemError('cancelled', 'the execution was cancelled'),
  timed_out: (): Error => new ProblemError('timed_out', 'the execution has timed out'),
  shutdown: (): Error => new ProblemError('unavailable', 'the server is shutting down'),
} satisfies Record<StopReason, () => Error>;

export const createRunner = (options: RunnerOptions): Runner => {
  const { commands, claims, send, leave, now, roots, dataDirectory, artifacts, pool } = options;
  /** Tells whose code is running when nothing catches what it throws. */
  const scope = new AsyncLocalStorage<Current>();
  let queue: RunLine[] = [];
  let current: Current | null = null;
  let shutdown = false;
  let leaving = false;

  const resultOf = async (command: Command, returned: unknown, opened: OpenContext): Promise<unknown> => {
    const checked = await command.result.safeParseAsync(returned);
    if (!checked.success) {
      const more = { errors: fieldErrors(checked.error, ['result']).slice(0, 20) };
      throw new ProblemError('result_invalid', `${command.facts.name} returned what its schema forbids`, { more });
    }
    let json: string;
    try {
      json = JSON.stringify(checked.data ?? null);
    } catch (cause) {
      throw new ProblemError('result_invalid', `${command.facts.name} returned what JSON cannot hold`, { cause });
    }
    if (json.length > INLINE_RESULT_BYTES || Buffer.byteLength(json) > INLINE_RESULT_BYTES) {
      await opened.saveResult(json);
      return null;
    }
    return checked.data ?? null;
  };

  const handle = async (command: Command, opened: OpenContext): Promise<Outcome> => {
    try {
      const returned = await command.run(opened.context as never);
      // It has ended, so nothing suspends it any more; or it was suspended, and nobody hears what it returns.
      if (!opened.close()) return { result: null };
      const result = await resultOf(command, returned, opened);
      const doomed = opened.doomed();
      return doomed === null ? { result } : fail(doomed);
    } catch (error) {
      opened.close();
      const doomed = opened.doomed();
      if (doomed !== null) return fail(doomed);
      return shutdown ? fail(problem('unavailable', 'the server was shut down'), true) : failureOf(error);
    }
  };

  const perform = async (n: number, command: Command, [, session, run]: RunLine): Promise<void> => {
    const checked = await command.args.safeParseAsync(run.args);
    if (!checked.success) {
      const more = { errors: fieldErrors(checked.error, ['args']).slice(0, 20) };
      const invalid = problem('invalid_input', `arguments of ${run.command}`, more);
      return send({ n, took_ms: 0, artifacts: [], ...fail(invalid) });
    }
    const started = now();
    const ended = Promise.withResolvers<Outcome>();
    const suspend = (asked: readonly Asked[]): void => {
      opened.close();
      ended.resolve({ asked });
    };
    const places = { roots, dataDirectory, artifacts };
    const opened = openContext({ n, session, run, command, args: checked.data, ...places, pool, now, suspend });
    current = { n, opened };
    void scope.run(current, () => handle(command, opened)).then(ended.resolve);
    let outcome = await ended.promise;
    const took_ms = now() - started;
    const doomed = opened.doomed();
    if ('asked' in outcome && doomed !== null) outcome = fail(doomed);
    const draining = opened.drain();
    if (draining !== null) await draining;
    send({ n, took_ms, artifacts: opened.artifacts(), ...outcome });
  };

  const drain = async (): Promise<void> => {
    for (let index = 0; index < queue.length && !leaving; index++) {
      const line = queue[index] as RunLine;
      const [n, , run] = line;
      if (!claim(claims, n)) continue;
      const command = commands.get(run.command);
      if (command === undefined) {
        send({
          n,
          took_ms: 0,
          artifacts: [],
          ...fail(problem('unknown_command', `there is no command ${run.command}`)),
        });
        continue;
      }
      await perform(n, command, line);
      current = null;
    }
    queue = [];
    if (leaving) leave();
  };

  return {
    take: (lines) => {
      const idle = queue.length === 0;
      queue.push(...lines);
      if (idle) void drain();
    },
    abort: (n, reason) => {
      if (reason === 'shutdown') shutdown = true;
      if (current?.n === n) current.opened.abort(STOPPED[reason](), reason !== 'shutdown');
    },
    credit: (n, bytes) => {
      if (current?.n === n) current.opened.credit(bytes);
    },
    recorded: (n, key) => {
      if (current?.n === n) current.opened.recorded(key);
    },
    crashed: (error) => {
      const culprit = scope.getStore();
      leaving = true;
      // What an ended run has left behind ends the thread too, but not before the innocent one that runs now.
      if (culprit !== undefined && current !== null && culprit !== current) return;
      if (current !== null) {
        const crash = fail(problem('handler_crashed', `the command ended its thread: ${messageOf(error)}`), true);
        send({ n: current.n, took_ms: 0, artifacts: current.opened.artifacts(), ...crash });
      }
      leave();
    },
  };
};
