import { z } from 'zod';
import { SKIP_REASONS } from './file-analysis.ts';

const count = z.int().nonnegative();
const lineCount = { code: count, comment: count, blank: count };

/** What `analyze` found. Paths are relative to the analysed directory; long ones are cut at their beginning (`…`). */
export const analyzeResultSchema = z.strictObject({
  /** As it was asked for. */
  path: z.string(),
  /** Regular files, without what `.gitignore` files exclude. */
  files: count,
  bytes: count,
  /** Over all languages. Blank is white space alone, wherever it stands; a line with code and comment is code. */
  lines: z.strictObject(lineCount),
  /** By lines of code, most first. */
  languages: z.array(z.strictObject({ name: z.string(), files: count, ...lineCount })),
  largest_files: z.array(z.strictObject({ path: z.string(), bytes: count })),
  /** `line` is where the function begins, from 1; `lines` its length. */
  largest_functions: z.array(z.strictObject({ name: z.string(), path: z.string(), line: count, lines: count })),
  /**
   * What has no lines counted, by reason, with some of the paths: links are not followed, `special` are pipes and the
   * like, `too_large` is above 8 MiB (its bytes count), `unknown_language` is text in no known language.
   */
  skipped: z.array(z.strictObject({ reason: z.enum(SKIP_REASONS), count, paths: z.array(z.string()) })),
  duration_ms: z.number().nonnegative(),
});
export type AnalyzeResult = z.infer<typeof analyzeResultSchema>;
