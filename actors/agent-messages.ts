import type { MessagePort } from 'node:worker_threads';
import type { ArtifactInfo } from '../machines/command.ts';
import type { Run } from '../machines/effect.ts';
import type { Problem } from '../machines/error.ts';
import type { HistoryHead } from '../machines/history.ts';
import type { SessionId } from '../machines/id.ts';
import type { Asked, Recorded } from '../machines/step.ts';

/** What an agent thread is started with: the data of its Piscina task. */
export interface AgentTask {
  /** To and from the pool: Comlink's objects, and texts for runs and their ends. */
  readonly port: MessagePort;
  /** File URLs of modules whose default export is a command. */
  readonly modules: readonly string[];
  readonly roots: readonly string[];
  /** Where the journal is; absolute. */
  readonly dataDirectory: string;
  /** Where all artifacts are. */
  readonly artifacts: string;
  /** One 32-bit number: the next run to begin, see `agent-claims.ts`. */
  readonly claims: SharedArrayBuffer;
}

/** Pool to thread, as the JSON of a list: runs, numbered within the thread. */
export type RunLine = readonly [n: number, session: SessionId, run: Run];

/** Thread to pool, as JSON: one run has ended. `took_ms` is the handler's own time. */
export type RunEnd = {
  readonly n: number;
  readonly took_ms: number;
  readonly artifacts: readonly ArtifactInfo[];
} & (
  | { readonly result: unknown }
  | { readonly problem: Problem; readonly retryable: boolean }
  /** The handler waits for these, and its run is over. */
  | { readonly asked: readonly Asked[] }
);

export type StopReason = 'cancelled' | 'timed_out' | 'shutdown';

/** One line of a handler's log. */
export interface HandlerLog {
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What the pool may call in a thread. */
export type ThreadMethods = {
  /** Loads the commands; rejects with what is wrong with them. */
  load(): Promise<{ readonly threadId: number }>;
  /** Aborts the signal of the run if it is running. */
  abort(n: number, reason: StopReason): void;
  /** So many bytes of the run's output are durable. */
  credit(n: number, bytes: number): void;
  /** What was finished under this key is durable. */
  recorded(n: number, key: string): void;
};

/** What a thread may call in the pool. */
export type PoolMethods = {
  progress(n: number, progress: number, message: string | null, metadata: Record<string, unknown>): void;
  output(n: number, stream: 'stdout' | 'stderr', chunk: string, bytes: number): void;
  log(n: number, lines: readonly HandlerLog[], dropped: number): void;
  /** Something is finished; answered by `recorded` once that is durable. */
  step(n: number, step: Recorded, artifacts: readonly ArtifactInfo[]): void;
  /** These are to have their time from now on, while the handler goes on. */
  ask(n: number, asked: readonly Asked[]): void;
  /** The session of the run and how far its log goes; all up to there can be read from the journal's tables. */
  history(n: number): Promise<HistoryHead>;
  /** The run has failed already; its handler has the grace time to return. */
  doom(n: number, problem: Problem): void;
};
