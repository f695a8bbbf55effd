import { createHash, randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { z } from 'zod';
import { createHttpClient, errorOfExecution, readArtifact, type HttpClient } from '../client/index.ts';
import { isTerminalEvent, type EventType } from '../../machines/event.ts';
import type { ExportFormat } from '../operations/export-formats.ts';
import { EXPORT_ARTIFACT } from '../operations/exports.ts';
import type { Execution } from '../operations/executions.ts';
import { EXIT, problemLine } from './errors.ts';
import { onInterrupt } from './interrupt.ts';
import { print } from './output.ts';
import { createProgressDisplay } from './progress.ts';
import type { Settings } from './settings.ts';

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

/** Seconds of a long-poll. */
const POLL = 30;
const STANDARD_OUTPUT = '-';

const resultSchema = z.object({
  events: z.number(),
  bytes: z.number(),
  sha256: z.string(),
  expires_at: z.string(),
});

/** Who takes the bytes; nothing of them is left after `discard`. */
interface Sink {
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

/** Shows how far the export is until it has ended. */
const watchExport = async (
  client: HttpClient,
  session_id: string,
  execution_id: string,
  after: number,
  update: (progress: number, message: string | null) => void,
): Promise<Execution> => {
  for await (const { type, data } of client.follow({ session_id, after })) {
    if (data['execution_id'] !== execution_id) continue;
    if (type === 'execution_progress')
      update(Number(data['progress']), typeof data['message'] === 'string' ? data['message'] : null);
    if (isTerminalEvent(type)) break;
  }
  for (;;) {
    const execution = await client.executions.get({ execution_id, wait: POLL });
    if (execution.ended_at !== null) return execution;
  }
};

/** Fetches what was exported; throws where what came is not what was written. */
const fetchExport = async (
  settings: Settings,
  execution_id: string,
  { bytes, sha256 }: z.infer<typeof resultSchema>,
  sink: Sink,
  signal: AbortSignal,
  update: (progress: number, message: string | null) => void,
): Promise<void> => {
  const hash = createHash('sha256');
  let got = 0;
  for await (const piece of readArtifact(settings, { execution_id, name: EXPORT_ARTIFACT, bytes, sha256, signal })) {
    hash.update(piece);
    got += piece.byteLength;
    await sink.write(piece);
    update((100 * got) / bytes, `${got} of ${bytes} bytes`);
  }
  const found = hash.digest('hex');
  if (found !== sha256) throw new Error(`what came has the SHA-256 ${found}, not ${sha256}`);
};

/** `arbor export`: writes a session's events to a file. Resolves with the exit code. */
export const exportSession = async (settings: Settings, session_id: string, flags: ExportFlags): Promise<number> => {
  const { format, types, after, until, json = false } = flags;
  const path = flags.output ?? `${session_id}.${EXTENSIONS[format]}`;
  const client = createHttpClient(settings);
  const stop = new AbortController();
  const state: { execution: string | null } = { execution: null };
  const endInterrupt = onInterrupt(() => {
    if (state.execution === null) process.exit(EXIT.interrupted);
    stop.abort();
    client.executions.cancel({ execution_id: state.execution }).catch(() => undefined);
  });
  const display = createProgressDisplay('export', process.stderr);
  let sink: Sink | null = null;
  try {
    const { seq } = await client.sessions.get({ session_id });
    const { execution_id } = (await client.exports.create({
      session_id,
      format,
      ...(types === undefined ? {} : { types: types as EventType[] }),
      ...(after === undefined ? {} : { after }),
      ...(until === undefined ? {} : { until }),
      // Waited for, if only for a moment: a client may have to have a webhook for what it does not wait for.
      wait: 1,
    })) as { execution_id: string };
    state.execution = execution_id;
    const execution = await watchExport(client, session_id, execution_id, seq, (...about) => display.update(...about));
    if (execution.status !== 'completed') {
      display.end();
      process.stderr.write(`arbor: ${problemLine(errorOfExecution(execution).problem)}\n`);
      return stop.signal.aborted ? EXIT.interrupted : EXIT.failed;
    }
    const result = resultSchema.parse(execution.result);
    sink = path === STANDARD_OUTPUT ? standardOutput : await fileSink(path);
    await fetchExport(settings, execution_id, result, sink, stop.signal, (...about) => display.update(...about));
    await sink.keep();
    sink = null;
    display.end();
    const { events, bytes, sha256, expires_at } = result;
    process.stderr.write(`${events} events, ${bytes} bytes, SHA-256 ${sha256}\n`);
    process.stderr.write(`the server keeps it until ${expires_at} as the artifact export of ${execution_id}\n`);
    if (path !== STANDARD_OUTPUT)
      await print(json ? `${JSON.stringify({ execution_id, session_id, file: path, ...result })}\n` : `${path}\n`);
    return EXIT.ok;
  } catch (error) {
    if (stop.signal.aborted) return EXIT.interrupted;
    throw error;
  } finally {
    endInterrupt();
    display.end();
    await sink?.discard();
  }
};
