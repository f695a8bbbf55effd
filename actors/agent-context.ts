import type { ArtifactContent, ArtifactInfo, Command } from '../machines/command.ts';
import type { Run } from '../machines/effect.ts';
import { ProblemError, type Problem } from '../machines/error.ts';
import type { BuiltInContext } from '../machines/history.ts';
import type { SessionId } from '../machines/id.ts';
import type { Asked } from '../machines/step.ts';
import { openHistory, type OpenHistory } from './agent-history.ts';
import { createLineLog, type LineLog } from './agent-log.ts';
import type { PoolMethods } from './agent-messages.ts';
import { createOutput, type Output, type Stream } from './agent-output.ts';
import { createProgress, type Progress } from './agent-progress.ts';
import { createSteps, type Steps } from './agent-steps.ts';
import { createIdentifiers } from './identifiers.ts';
import { removeUnfinished, RESULT_ARTIFACT, writeArtifact } from './artifacts.ts';
import type { Rpc } from './rpc.ts';

const MAX_ARTIFACTS = 100;
const DEFAULT_MEDIA_TYPE = 'application/octet-stream';

export interface ContextOptions {
  readonly n: number;
  readonly session: SessionId;
  readonly run: Run;
  readonly command: Command;
  readonly args: unknown;
  readonly roots: readonly string[];
  /** Where the journal is; absolute. */
  readonly dataDirectory: string;
  /** Where all artifacts are. */
  readonly artifacts: string;
  readonly pool: Rpc<PoolMethods>;
  readonly now: () => number;
  /** The handler waits for these, and nothing else of it is under way. */
  readonly suspend: (asked: readonly Asked[]) => void;
}

/** A handler's context with what only its thread may do. */
export interface OpenContext {
  readonly context: BuiltInContext<unknown>;
  readonly artifacts: () => readonly ArtifactInfo[];
  /** What ends the run whatever its handler returns. */
  readonly doomed: () => Problem | null;
  credit(bytes: number): void;
  /** What was finished under this key is durable. */
  recorded(key: string): void;
  /** Aborts the signal. What waits is dropped where `silent`: nobody will read it. */
  abort(reason: Error, silent: boolean): void;
  /** Writes the artifact that stands for a large result. */
  saveResult(json: string): Promise<void>;
  /** Sends what is left of progress, output and log; null where there is nothing to wait for. */
  drain(): Promise<unknown> | null;
  /** From here on the handler says nothing more. Answers whether it might until now. */
  close(): boolean;
}

/** Everything is made on first use: most runs are short and use little of it. */
export const openContext = (options: ContextOptions): OpenContext => {
  const { n, session, run, command, args, roots, dataDirectory, artifacts: directory, pool, now, suspend } = options;
  // A step that has written one is not run again.
  const written = new Map<string, ArtifactInfo>();
  for (const info of run.artifacts ?? []) written.set(info.name, info);
  let progress: Progress | null = null;
  let output: Output | null = null;
  let log: LineLog | null = null;
  let steps: Steps | null = null;
  let newId: ReturnType<typeof createIdentifiers> | null = null;
  let history: OpenHistory | null = null;
  let controller: AbortController | null = null;
  let aborted: Error | null = null;
  let doomed: Problem | null = null;
  let total = 0;
  let closed = false;
  /** Before the first is written: what a run has left that ended with its thread. */
  let tidied: Promise<void> | null = null;
  const writing = new Set<Promise<ArtifactInfo>>();

  // A call fails only with the port, and then this thread is at its end.
  const lost = (): void => {};
  /** Handlers need not await: what they do not look at must not end the thread as an unhandled rejection. */
  const unwatched = <T>(promise: Promise<T>): Promise<T> => {
    promise.catch(lost);
    return promise;
  };

  const abort = (reason: Error, silent: boolean): void => {
    aborted ??= reason;
    controller?.abort(reason);
    steps?.abort(reason, silent);
    if (silent) {
      progress?.discard();
      output?.discard(reason);
    }
  };

  /** What ends a long content: nobody wants the rest of it. */
  const checkWanted = (): void => {
    if (aborted !== null) throw aborted;
  };

  const write = async (name: string, content: ArtifactContent, mediaType: string): Promise<ArtifactInfo> => {
    if (written.size >= MAX_ARTIFACTS && !written.has(name))
      throw new ProblemError('too_large', `an execution may write ${MAX_ARTIFACTS} artifacts`);
    tidied ??= run.start > 1 ? removeUnfinished(directory, run.execution_id) : Promise.resolve();
    await tidied;
    const info = await writeArtifact(directory, run.execution_id, name, content, mediaType, { check: checkWanted });
    written.set(name, info);
    return info;
  };

  const exceed = (): ProblemError => {
    const error = new ProblemError(
      'output_exceeded',
      `${command.facts.name} may write ${command.maxOutput} bytes of output`,
    );
    if (doomed === null) {
      doomed = error.problem;
      pool.call('doom', n, error.problem).catch(lost);
      abort(error, false);
    }
    return error;
  };

  const writeOutput = async (chunk: string, stream: Stream): Promise<void> => {
    if (typeof chunk !== 'string') throw new TypeError('output: expected a string');
    if (stream !== 'stdout' && stream !== 'stderr') throw new TypeError('output: expected stdout or stderr');
    if (closed) return;
    if (aborted !== null) throw aborted;
    const bytes = Buffer.byteLength(chunk);
    total += bytes;
    if (total > command.maxOutput) throw exceed();
    output ??= createOutput({ send: (...piece) => void pool.call('output', n, ...piece).catch(lost), now });
    output.write(chunk, bytes, stream);
    await output.room();
  };

  const writeArtifactOf = async (name: string, content: ArtifactContent, mediaType: string): Promise<ArtifactInfo> => {
    if (closed) throw new Error('the run has ended');
    checkWanted();
    if (name === RESULT_ARTIFACT)
      throw new ProblemError('invalid_input', `the name '${RESULT_ARTIFACT}' is kept for the result`);
    const promise = write(name, content, mediaType);
    writing.add(promise);
    try {
      return await promise;
    } finally {
      writing.delete(promise);
      steps?.turn();
    }
  };

  const openSteps = (): Steps => {
    if (steps !== null) return steps;
    steps = createSteps({
      run,
      send: (step) => void pool.call('step', n, step, [...written.values()]).catch(lost),
      ask: (asked) => void pool.call('ask', n, asked).catch(lost),
      suspend,
      isBusy: () => writing.size > 0,
      now,
      newCoordinationId: () => (newId ??= createIdentifiers(Date.now))('coordination'),
    });
    if (aborted !== null) steps.abort(aborted, true);
    if (closed) steps.close();
    return steps;
  };

  const context: BuiltInContext<unknown> = {
    args,
    get signal() {
      if (controller === null) {
        controller = new AbortController();
        if (aborted !== null) controller.abort(aborted);
      }
      return controller.signal;
    },
    session: { id: session },
    execution: { id: run.execution_id },
    attempt: run.attempt,
    idempotencyKey: run.idempotency_key,
    roots,
    progress: (reached, message, metadata) => {
      if (closed) return;
      progress ??= createProgress({ send: (...step) => void pool.call('progress', n, ...step).catch(lost), now });
      progress.tell(reached, message, metadata);
    },
    output: (chunk, stream = 'stdout') => unwatched(writeOutput(chunk, stream)),
    log: (message, fields) => {
      if (closed) return;
      log ??= createLineLog((lines, dropped) => void pool.call('log', n, lines, dropped).catch(lost));
      log.add(message, fields);
    },
    artifact: (name, content, mediaType = DEFAULT_MEDIA_TYPE) => unwatched(writeArtifactOf(name, content, mediaType)),
    step: (name, fn) => unwatched(openSteps().step(name, fn)),
    sleep: (ms, name) => unwatched(openSteps().sleep(ms, name)),
    confirm: (question, name) => unwatched(openSteps().confirm(question, name)),
    get history() {
      history ??= openHistory({ dataDirectory, session, head: () => pool.call('history', n) });
      return history;
    },
  };

  return {
    context,
    artifacts: () => [...written.values()],
    doomed: () => doomed,
    credit: (bytes) => output?.credit(bytes),
    recorded: (key) => steps?.recorded(key),
    abort,
    saveResult: async (json) => void (await write(RESULT_ARTIFACT, json, 'application/json')),
    drain: () => {
      log?.flush();
      if (progress === null && output === null && writing.size === 0) return null;
      return Promise.all([progress?.drain(), output?.drain(), Promise.allSettled(writing)]);
    },
    close: () => {
      const was = !closed;
      closed = true;
      steps?.close();
      history?.close();
      return was;
    },
  };
};
