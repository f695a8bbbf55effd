import { z } from 'zod';
import { defineCommand } from '../../machines/command.ts';
import { timestamp } from '../../machines/event.ts';
import type { BuiltInContext } from '../../machines/history.ts';
import { EXPORT_FORMATS } from '../operations/export-formats.ts';
import { EXPORT_ARTIFACT, exportFields } from '../operations/exports.ts';
import { FORMATS } from './export/formats.ts';
import type { ExportHead, Pages } from './export/format.ts';
import { pagesOf, wantedOf } from './export/pages.ts';

const args = z.strictObject(exportFields);
type Context = BuiltInContext<z.output<typeof args>>;

const counted = async function* (pages: Pages, count: (events: number) => void): Pages {
  for await (const events of pages) {
    count(events.length);
    yield events;
  }
};

/** Progress by the part of the log that was read, told once for each whole per cent; the last is for the file's end. */
const teller = ({ progress }: Pick<Context, 'progress'>, after: number, until: number) => {
  const total = until - after;
  let told = -1;
  return (seq: number): void => {
    const done = seq - after;
    const percent = Math.floor((99 * done) / Math.max(total, 1));
    if (percent <= told) return;
    told = percent;
    progress(percent, `${done} of ${total} events`, { events_done: done, events_total: total });
  };
};

/**
 * Writes the session's log to the artifact `export`: the events up to the last when it begins, its own beginning among
 * them. Memory does not grow with the log.
 */
export default defineCommand({
  name: 'export',
  summary: 'Exports the events of the session: as JSON, NDJSON, CSV, or a transcript in Markdown or HTML',
  args,
  result: z.strictObject({
    format: z.enum(EXPORT_FORMATS),
    events: z.int().nonnegative(),
    bytes: z.int().nonnegative(),
    sha256: z.string(),
    /** Until then the artifact is kept. */
    expires_at: z.iso.datetime({ precision: 3 }),
  }),
  operation: 'read',
  risk: 'high',
  audit: true,
  mode: 'async',
  run: async (ctx) => {
    const { history, signal, args: asked } = ctx as unknown as Context;
    const head = await history.head();
    const began = performance.now();
    const range = wantedOf(head, asked);
    const format = FORMATS[asked.format];
    const about: ExportHead = {
      session: head.session,
      exported_at: timestamp(head.at),
      first_seq: range.after + 1,
      last_seq: range.until,
      types: asked.types ?? null,
    };
    const tell = teller({ progress: (...said) => ctx.progress(...said) }, range.after, range.until);
    tell(range.after);
    let events = 0;
    const pages = counted(pagesOf(history, { ...range, types: asked.types }, signal, tell), (more) => {
      events += more;
    });
    const { bytes, sha256 } = await ctx.artifact(EXPORT_ARTIFACT, format.write(about, pages), format.mediaType);
    ctx.progress(100, 'done', { events_done: range.until - range.after, events_total: range.until - range.after });
    const ended = head.at + Math.floor(performance.now() - began);
    return { format: asked.format, events, bytes, sha256, expires_at: timestamp(ended + head.retention_ms) };
  },
});
