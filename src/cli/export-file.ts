import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { ExportFormat } from '../operations/export-formats.ts';
import { print } from './output.ts';

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

/** Who takes the bytes; nothing of them is left after `discard`. */
export interface Sink {
  write(piece: Uint8Array): Promise<void>;
  keep(): Promise<void>;
  discard(): Promise<void>;
}

const standardOutput: Sink = { write: print, keep: async () => undefined, discard: async () => undefined };

/** A file that is there under its name only when it is whole. What others said in a session is for the caller alone. */
const fileSink = async (path: string): Promise<Sink> => {
  const aside = `${path}.${randomBytes(4).toString('hex')}.part`;
  const handle = await open(aside, 'wx', 0o600);
  const discard = async (): Promise<void> => {
    await handle.close();
    await rm(aside, { force: true });
  };
  return {
    write: (piece) => handle.writeFile(piece),
    keep: async () => {
      await handle.sync();
      await handle.close();
      await rename(aside, path);
    },
    discard,
  };
};

export const openSink = async (path: string): Promise<Sink> =>
  path === STANDARD_OUTPUT ? standardOutput : fileSink(path);
