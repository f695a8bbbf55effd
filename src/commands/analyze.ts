import { join } from 'node:path';
import { z } from 'zod';
import { defineCommand, type HandlerContext } from '../../machines/command.ts';
import { allowedPath } from './analyze/allowed-path.ts';
import { analyzeFile } from './analyze/file-analysis.ts';
import { markdownReport } from './analyze/report.ts';
import { analyzeResultSchema, type AnalyzeResult } from './analyze/result.ts';
import { shorten } from './analyze/shorten.ts';
import { createTotals, type Totals } from './analyze/totals.ts';
import { baseOf, walk, type Entry } from './analyze/walk.ts';

/** Files read at the same time; with 8 MiB each at most, this bounds the memory. */
const CONCURRENCY = 4;
/** Per cent of the progress for counting the files. */
const COUNTED_AT = 5;
/** Longest path in the result, in bytes of JSON. */
const PATH_BYTES = 1_024;
const REPORT = 'report.md';
/** Entries between two words about the counting. */
const COUNT_STEP = 1_000;

type Context = Pick<HandlerContext<{ readonly path: string }>, 'signal' | 'progress'>;

/** The first walk: how many files there will be, so that progress has a measure. */
const countFiles = async (entries: AsyncIterable<Entry>, { progress }: Context): Promise<number> => {
  progress(0, 'counting files');
  let files = 0;
  for await (const { kind } of entries) {
    if (kind !== 'file') continue;
    files += 1;
    if (files % COUNT_STEP === 0) progress(0, `counting files: ${files}`);
  }
  progress(COUNTED_AT, `${files} files`);
  return files;
};

/** Takes entries from one walk in several turns at once. The first failure ends all of them, and is thrown once they have. */
const inParallel = async (entries: AsyncGenerator<Entry>, handle: (entry: Entry) => Promise<void>): Promise<void> => {
  const failures: unknown[] = [];
  const take = async (): Promise<void> => {
    try {
      while (failures.length === 0) {
        const next = await entries.next();
        if (next.done === true) return;
        await handle(next.value);
      }
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, take));
  if (failures.length > 0) {
    await entries.return(undefined);
    throw failures[0];
  }
};

/** The second walk: each file. Progress is told once for each whole per cent. */
const analyzeEntries = (
  entries: AsyncGenerator<Entry>,
  base: string,
  files: number,
  totals: Totals,
  { signal, progress }: Context,
): Promise<void> => {
  let done = 0;
  let told = COUNTED_AT;
  return inParallel(entries, async ({ path, kind }) => {
    if (kind !== 'file') {
      totals.entry(kind, path);
      return;
    }
    totals.file(path, await analyzeFile(join(base, path), signal, totals.foundIn(path)));
    done += 1;
    const percent = Math.floor(COUNTED_AT + ((99 - COUNTED_AT) * Math.min(done, files)) / Math.max(files, 1));
    if (percent > told) {
      told = percent;
      progress(percent, `${done} of ${files} files: ${path}`, { files_done: done, files_total: files });
    }
  });
};

const summaryOf = ({ files, bytes, lines, languages }: AnalyzeResult): string => {
  const top = languages.slice(0, 3).map(({ name, code }) => `${name} ${code}`);
  return [
    `${files} files, ${bytes} bytes`,
    `${lines.code} lines of code, ${lines.comment} of comment, ${lines.blank} blank`,
    ...(top.length === 0 ? [] : [`most code: ${top.join(', ')}`]),
    '',
  ].join('\n');
};

/**
 * Measures a source tree inside the roots: files, bytes, lines by language and kind, the largest files and functions.
 * Walks twice, so that its memory does not grow with the tree. Ends as `path_refused` or `not_found` where the path may
 * not be read or is not there.
 */
export default defineCommand({
  name: 'analyze',
  summary: 'Measures a source tree: files, lines by language, largest files and functions, with a Markdown report',
  args: z.strictObject({
    path: z
      .string('a path')
      .min(1, 'a path')
      .max(4096, 'a path of up to 4096 characters')
      .refine((path) => !path.includes('\0'), 'a path without a NUL')
      .default('.')
      .describe('Directory or file inside the allowed roots; relative to the first of them'),
  }),
  result: analyzeResultSchema,
  operation: 'read',
  risk: 'low',
  mode: 'async',
  run: async (ctx) => {
    const { args, roots, signal } = ctx;
    const context: Context = { signal, progress: (...about) => ctx.progress(...about) };
    const started = performance.now();
    signal.throwIfAborted();
    const from = await allowedPath(args.path, roots);
    await ctx.output(`analyzing ${args.path}\n`);
    const files = await countFiles(walk(from, signal), context);
    const totals = createTotals();
    await analyzeEntries(walk(from, signal), baseOf(from), files, totals, context);
    const result: AnalyzeResult = {
      path: shorten(args.path, PATH_BYTES),
      ...totals.result(),
      duration_ms: Math.round(performance.now() - started),
    };
    context.progress(99, 'writing the report');
    await ctx.artifact(REPORT, markdownReport(result), 'text/markdown; charset=utf-8');
    await ctx.output(summaryOf(result));
    context.progress(100, 'done');
    return result;
  },
});
