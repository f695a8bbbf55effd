import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { ExportFormat } from '../operations/export-formats.ts';
import { EXIT } from './errors.ts';
import { onInterrupt } from './interrupt.ts';
import { print } from './output.ts';
import { createProgressDisplay, type ProgressDisplay } from './progress.ts';

export interface ExportFlags {
  readonly format: ExportFormat;
  /** `-` is standard output. */
  readonly output?: string;
  readonly types?: readonly string[];
  readonly after?: number;
  readonly until?: number;
  readonly json?: boolean;
}

const EXTENSIONS = {
  json: 'json',
  ndjson: 'ndjson',
  csv: 'csv',
  markdown: 'md',
  html: 'html',
} as const satisfies Record<ExportFormat, string>;

export const STANDARD_OUTPUT = '-';

/** Where an export is written to unless it is said. */
export const pathOf = (session: string, { format, output }: ExportFlags): string =>
  output ?? `${session}.${EXTENSIONS[format]}`;

/** Who takes the bytes; nothing of them is left unless they are kept. */
export interface Sink {
  write(piece: Uint8Array): Promise<void>;
  keep(): Promise<void>;
  /** Nothing after `keep`. */
  discard(): Promise<void>;
}

const standardOutput: Sink = { write: print, keep: async () => undefined, discard: async () => undefined };

/** A file that is there under its name only when it is whole. What others said in a session is for the caller alone. */
const fileSink = async (path: string): Promise<Sink> => {
  const aside = `${path}.${randomBytes(4).toString('hex')}.part`;
  const handle = await open(aside, 'wx', 0o600);
  let isKept = false;
  return {
    write: (piece) => handle.writeFile(piece),
    keep: async () => {
      await handle.sync();
      await handle.close();
      await rename(aside, path);
      isKept = true;
    },
    discard: async () => {
      if (isKept) return;
      await handle.close();
      await rm(aside, { force: true });
    },
  };
};

/** What an export that is under way works with. */
export interface Exporting {
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly display: ProgressDisplay;
  /** Opens where it goes to. */
  open(): Promise<Sink>;
}

/**
 * Runs an export to a path. Resolves with its exit code, or with 130 where Ctrl-C has ended it, of which `onStop` hears;
 * what was not kept is gone then.
 */
export const exportTo = async (
  path: string,
  onStop: () => void,
  work: (exporting: Exporting) => Promise<number>,
): Promise<number> => {
  const stop = new AbortController();
  const endInterrupt = onInterrupt(() => {
    onStop();
    stop.abort();
  });
  const display = createProgressDisplay('export', process.stderr);
  let sink: Sink | null = null;
  const openOnce = async (): Promise<Sink> => (sink = path === STANDARD_OUTPUT ? standardOutput : await fileSink(path));
  try {
    return await work({ signal: stop.signal, display, open: openOnce });
  } catch (error) {
    if (stop.signal.aborted) return EXIT.interrupted;
    throw error;
  } finally {
    endInterrupt();
    display.end();
    // The compiler does not see that `work` has opened it.
    await (sink as Sink | null)?.discard();
  }
};
