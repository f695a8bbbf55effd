import { createHash } from 'node:crypto';
import type { HttpClient } from '../client/index.ts';
import { ProblemError } from '../../machines/error.ts';
import { timestamp, type EventType } from '../../machines/event.ts';
import type { SessionHistory } from '../../machines/history.ts';
import type { Pages } from '../commands/export/format.ts';
import { FORMATS } from '../commands/export/formats.ts';
import { pagesOf, wantedOf } from '../commands/export/pages.ts';
import type { SessionState } from '../operations/sessions.ts';
import { EXIT } from './errors.ts';
import { exportTo, pathOf, STANDARD_OUTPUT, type ExportFlags } from './export-file.ts';
import { print } from './output.ts';

/** The log as `events.list` gives it. Where retention has overtaken the reader, that answers `cursor_expired`. */
const pagesBy = (client: HttpClient, session_id: string): Pick<SessionHistory, 'page'> => ({
  page: async (after, types) => {
    const asked = types === undefined ? {} : { types: types as EventType[] };
    const { events, next } = await client.events.list({ session_id, after, ...asked });
    return { events: events.map((event) => JSON.stringify(event)), next, first: after + 1 };
  },
});

/** The first `seq` that is left. */
const firstOf = async (client: HttpClient, session_id: string): Promise<number> => {
  try {
    await client.events.list({ session_id, after: 0, limit: 1 });
    return 1;
  } catch (error) {
    const first = error instanceof ProblemError ? error.problem['first'] : undefined;
    if (typeof first !== 'number') throw error;
    return first;
  }
};

/**
 * Exports a session that has ended. It runs nothing any more, an export neither, but its log is kept and may be read: so
 * the same file is written here. Resolves with the exit code.
 */
export const exportEnded = (client: HttpClient, session: SessionState, flags: ExportFlags): Promise<number> => {
  const { session_id, owner, status, created_at, seq: last } = session;
  const { format, types, json = false } = flags;
  const path = pathOf(session_id, flags);
  return exportTo(
    path,
    () => undefined,
    async ({ signal, display, open }) => {
      const range = wantedOf({ first: await firstOf(client, session_id), last }, flags);
      const total = Math.max(range.until - range.after, 1);
      const tell = (seq: number): void => display.update((100 * (seq - range.after)) / total, null);
      let events = 0;
      const counted = async function* (pages: Pages): Pages {
        for await (const page of pages) {
          events += page.length;
          yield page;
        }
      };
      const pages = counted(pagesOf(pagesBy(client, session_id), { ...range, types }, signal, tell));
      const about = {
        session: { session_id, owner, status, created_at },
        exported_at: timestamp(Date.now()),
        first_seq: range.after + 1,
        last_seq: range.until,
        types: types ?? null,
      };
      const hash = createHash('sha256');
      let bytes = 0;
      const sink = await open();
      for await (const text of FORMATS[format].write(about, pages)) {
        const piece = Buffer.from(text);
        hash.update(piece);
        bytes += piece.byteLength;
        await sink.write(piece);
      }
      await sink.keep();
      display.end();
      const sha256 = hash.digest('hex');
      process.stderr.write(`${events} events, ${bytes} bytes, SHA-256 ${sha256}\n`);
      process.stderr.write(`the session is ${status} and exports nothing itself: this was written here from its log\n`);
      if (path !== STANDARD_OUTPUT)
        await print(
          json ? `${JSON.stringify({ session_id, file: path, format, events, bytes, sha256 })}\n` : `${path}\n`,
        );
      return EXIT.ok;
    },
  );
};
