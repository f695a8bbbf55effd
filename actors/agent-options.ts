import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { ProblemError } from '../machines/error.ts';
import type { HistoryHead } from '../machines/history.ts';
import type { SessionId } from '../machines/id.ts';
import type { Report } from './agents.ts';

/** A line for the server's log: what a handler has said, or what the pool has to say of its threads. */
export interface AgentLogEntry {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Whose line it is; null for the pool's own. */
  readonly source: {
    readonly execution: string;
    readonly session: string;
    readonly attempt: number;
    readonly command: string;
  } | null;
}

export interface AgentPoolOptions {
  /** File URLs of modules whose default export is a command. */
  readonly modules: readonly string[];
  /** Directories under which commands may read, absolute; default none. */
  readonly roots?: readonly string[];
  /** Artifacts are under `<dataDirectory>/artifacts/<execution>/<name>`; absolute. */
  readonly dataDirectory: string;
  readonly report: Report;
  /** The session in which a handler runs, for those that read its log; default none is told. */
  readonly history?: (session: SessionId) => Promise<HistoryHead>;
  readonly onLog?: (entry: AgentLogEntry) => void;
  /** Threads, one running handler each; default the cores, at least 2. */
  readonly threads?: number;
  /** Between the abort signal and the forced end of the thread; default 5,000 ms. */
  readonly graceMs?: number;
  /** How long a thread may take to start and to load the commands; default 30,000 ms. */
  readonly startMs?: number;
  /**
   * Megabytes of heap and buffers at which a thread is ended; default 512. The pool watches it itself: V8's own limit,
   * twice as high, ends the whole process where a handler fills the heap in large steps or in a hot loop.
   */
  readonly maxHeapMb?: number;
}

export interface AgentPoolSettings extends Required<AgentPoolOptions> {
  readonly artifacts: string;
  readonly hardHeapMb: number;
}

const noHistory = (): Promise<never> =>
  Promise.reject(new ProblemError('not_configured', 'there is no log to read here'));

export const agentPoolSettings = (options: AgentPoolOptions): AgentPoolSettings => {
  const { maxHeapMb = 512 } = options;
  return Object.freeze({
    roots: [],
    history: noHistory,
    onLog: () => {},
    threads: Math.max(2, availableParallelism()),
    graceMs: 5_000,
    startMs: 30_000,
    ...options,
    maxHeapMb,
    // No higher: below 2 GiB V8 lets less garbage gather, tens of megabytes in an export.
    hardHeapMb: maxHeapMb * 2,
    artifacts: join(options.dataDirectory, 'artifacts'),
  });
};
