import { SKIP_REASONS, type FileAnalysis, type SkipReason } from './file-analysis.ts';
import type { FoundFunction } from './function-finder.ts';
import type { AnalyzeResult } from './result.ts';
import { shorten } from './shorten.ts';
import { createTop } from './top.ts';
import type { Entry } from './walk.ts';

const LARGEST = 10;
const LANGUAGES = 30;
const SKIPPED_PATHS = 3;
const REST = 'Other';
/** Longest path and name in the result, in bytes of JSON: so it stays below the 16 KiB that are inline. */
const PATH_BYTES = 160;
const NAME_BYTES = 80;

type Counted = Omit<AnalyzeResult, 'path' | 'duration_ms'>;

/** Adds up what is found. What it holds does not grow with the number of files. */
export interface Totals {
  entry(entry: Exclude<Entry['kind'], 'file'>, path: string): void;
  file(path: string, analysis: FileAnalysis): void;
  foundIn(path: string): (one: FoundFunction) => void;
  result(): Counted;
}

const byPath = (a: { readonly path: string }, b: { readonly path: string }): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : 0;

export const createTotals = (): Totals => {
  const languages = new Map<string, { name: string; files: number; code: number; comment: number; blank: number }>();
  const skipped = new Map<SkipReason, { count: number; paths: string[] }>();
  const largestFiles = createTop<AnalyzeResult['largest_files'][number]>(
    LARGEST,
    (a, b) => b.bytes - a.bytes || byPath(a, b),
  );
  const largestFunctions = createTop<AnalyzeResult['largest_functions'][number]>(
    LARGEST,
    (a, b) => b.lines - a.lines || byPath(a, b) || a.line - b.line,
  );
  const lines = { code: 0, comment: 0, blank: 0 };
  let files = 0;
  let bytes = 0;

  const skip = (reason: SkipReason, path: string): void => {
    const known = skipped.get(reason) ?? { count: 0, paths: [] };
    skipped.set(reason, known);
    known.count += 1;
    if (known.paths.length < SKIPPED_PATHS) known.paths.push(shorten(path, PATH_BYTES));
  };

  const topLanguages = (): AnalyzeResult['languages'] => {
    const all = [...languages.values()].toSorted((a, b) => b.code - a.code || (a.name < b.name ? -1 : 1));
    if (all.length <= LANGUAGES) return all;
    const rest = { name: REST, files: 0, code: 0, comment: 0, blank: 0 };
    for (const language of all.slice(LANGUAGES - 1)) {
      for (const key of ['files', 'code', 'comment', 'blank'] as const) rest[key] += language[key];
    }
    return [...all.slice(0, LANGUAGES - 1), rest];
  };

  return {
    entry: (kind, path) => skip(kind, path),
    file: (path, analysis) => {
      if (analysis.bytes !== null) {
        files += 1;
        bytes += analysis.bytes;
        largestFiles.add({ path: shorten(path, PATH_BYTES), bytes: analysis.bytes });
      }
      if (analysis.skipped !== null) {
        skip(analysis.skipped, path);
        return;
      }
      const { language: name, lines: counted } = analysis;
      const language = languages.get(name) ?? { name, files: 0, code: 0, comment: 0, blank: 0 };
      languages.set(name, language);
      language.files += 1;
      for (const kind of ['code', 'comment', 'blank'] as const) {
        language[kind] += counted[kind];
        lines[kind] += counted[kind];
      }
    },
    foundIn: (path) => (one) =>
      largestFunctions.add({
        name: shorten(one.name, NAME_BYTES),
        path: shorten(path, PATH_BYTES),
        line: one.line,
        lines: one.lines,
      }),
    result: () => ({
      files,
      bytes,
      lines,
      languages: topLanguages(),
      largest_files: [...largestFiles.list()],
      largest_functions: [...largestFunctions.list()],
      skipped: SKIP_REASONS.flatMap((reason) => {
        const known = skipped.get(reason);
        return known === undefined ? [] : [{ reason, count: known.count, paths: known.paths.toSorted() }];
      }),
    }),
  };
};
