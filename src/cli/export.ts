import { createHash } from 'node:crypto';
import { z } from 'zod';
import { createHttpClient, errorOfExecution, readArtifact, type HttpClient } from '../client/index.ts';
import { isTerminalEvent, type EventType } from '../../machines/event.ts';
import { EXPORT_ARTIFACT } from '../operations/exports.ts';
import type { Execution } from '../operations/executions.ts';
import type { SessionState } from '../operations/sessions.ts';
import { EXIT, problemLine } from './errors.ts';
import { exportEnded } from './export-ended.ts';
import { exportTo, pathOf, STANDARD_OUTPUT, type ExportFlags, type Sink } from './export-file.ts';
import { print } from './output.ts';
import type { Settings } from './settings.ts';

/** Seconds of a long-poll. */
const POLL = 30;

const resultSchema = z.object({
  events: z.number(),
  bytes: z.number(),
  sha256: z.string(),
  expires_at: z.string(),
});

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

/** Has the server export a session that is live, and fetches that. */
const exportLive = (
  settings: Settings,
  client: HttpClient,
  { session_id, seq }: SessionState,
  flags: ExportFlags,
): Promise<number> => {
  const { format, types, after, until, json = false } = flags;
  const path = pathOf(session_id, flags);
  const state: { execution: string | null } = { execution: null };
  const cancel = (): void => {
    if (state.execution === null) process.exit(EXIT.interrupted);
    client.executions.cancel({ execution_id: state.execution }).catch(() => undefined);
  };
  return exportTo(path, cancel, async ({ signal, display, open }) => {
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
      return signal.aborted ? EXIT.interrupted : EXIT.failed;
    }
    const result = resultSchema.parse(execution.result);
    const sink = await open();
    await fetchExport(settings, execution_id, result, sink, signal, (...about) => display.update(...about));
    await sink.keep();
    display.end();
    const { events, bytes, sha256, expires_at } = result;
    process.stderr.write(`${events} events, ${bytes} bytes, SHA-256 ${sha256}\n`);
    process.stderr.write(`the server keeps it until ${expires_at} as the artifact export of ${execution_id}\n`);
    if (path !== STANDARD_OUTPUT)
      await print(json ? `${JSON.stringify({ execution_id, session_id, file: path, ...result })}\n` : `${path}\n`);
    return EXIT.ok;
  });
};

/** A session in one of these runs nothing new. */
const ENDED: ReadonlySet<string> = new Set(['draining', 'closed', 'expired']);

/** `arbor export`: writes a session's events to a file. Resolves with the exit code. */
export const exportSession = async (settings: Settings, session_id: string, flags: ExportFlags): Promise<number> => {
  const client = createHttpClient(settings);
  const session = await client.sessions.get({ session_id });
  return ENDED.has(session.status) ? exportEnded(client, session, flags) : exportLive(settings, client, session, flags);
};
