/**
 * The test runner: a process for each file under `test/` that ends in `.test.ts`, as many at a time as there are cores.
 *
 *     node test/support/run.ts [--only] [path-substring…]
 *
 * A file has 120 s, or what a comment in its first lines says (`// limit: 300 s`). A test that cannot run here prints
 * `# skip <name>: <why>` and returns; where `CI` is set that is a failure. The last line is
 * `N passed, N failed[, N skipped]`.
 */
import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { maskSource } from './source.ts';
import { closingLine, judge, type Verdict } from './tally.ts';
import { killTestProcesses, runTestProcess } from './test-process.ts';

export interface RunOptions {
  /** The directory that holds `test/`. */
  root: string;
  /** Parts of paths; a file runs if it has one of them. Empty: all files. */
  only: readonly string[];
  /** Whether a skip is a failure. */
  strict: boolean;
  lingerMs?: number;
  print: (text: string) => void;
}

export type Totals = Pick<Verdict, 'passed' | 'failed' | 'skipped'>;

const LIMIT_MS = 120_000;
const LINGER_MS = 10_000;
const LIMIT_COMMENT = /^\/\/ limit: (\d+) s$/;
const LIMIT_COMMENT_LINES = 5;

interface TestFile {
  path: string;
  limitMs: number;
  refusals: string[];
}

/** Milliseconds that a file may take, by the comment in its first lines. */
export const limitOf = (source: string): number => {
  for (const line of source.split('\n', LIMIT_COMMENT_LINES)) {
    const seconds = LIMIT_COMMENT.exec(line)?.[1];
    if (seconds !== undefined) return Number(seconds) * 1000;
  }
  return LIMIT_MS;
};

/** Why a file is not run at all: uvu would pass over what these leave out without a word. */
export const refusalsOf = (source: string): string[] => {
  const code = maskSource(source, { strings: true });
  const suites = [...code.matchAll(/\b(?:const|let)\s+(\w+)\s*=\s*suite\b/g)].map(([, name]) => name ?? '');
  return [
    ...(/\.only\s*\(/.test(code) ? ['uses .only, which leaves out the other tests'] : []),
    ...suites.filter((name) => !code.includes(`${name}.run(`)).map((name) => `never calls ${name}.run()`),
  ];
};

const findTestFiles = ({ root, only }: RunOptions): TestFile[] =>
  globSync('test/**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**'] })
    .filter((path) => only.length === 0 || only.some((part) => path.includes(part)))
    .map((path) => {
      const source = readFileSync(join(root, path), 'utf8');
      return { path, limitMs: limitOf(source), refusals: refusalsOf(source) };
    })
    // The longest first, so that none is left to run alone at the end.
    .toSorted((a, b) => b.limitMs - a.limitMs || (a.path < b.path ? -1 : 1));

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

const runTestFile = async ({ path, limitMs, refusals }: TestFile, options: RunOptions): Promise<Totals> => {
  if (refusals.length > 0) {
    options.print(`FAIL  ${path}: ${refusals.join('; ')}\n`);
    return { passed: 0, failed: refusals.length, skipped: 0 };
  }
  const limits = { cwd: options.root, limitMs, lingerMs: options.lingerMs ?? LINGER_MS };
  const { tally, ending, output, durationMs } = await runTestProcess(join(options.root, path), limits);
  const verdict = judge(tally, ending, options.strict);
  const failed = verdict.failed > 0;
  let report = `${failed ? 'FAIL' : 'ok  '}  ${path}: ${closingLine(verdict)} (${seconds(durationMs)})\n`;
  if (!failed) for (const skip of tally.skips) report += `      skipped ${skip}\n`;
  for (const reason of verdict.reasons) report += `      ${reason}\n`;
  if (failed) report += `${output.trimEnd()}\n      end of ${path}\n`;
  options.print(report);
  return verdict;
};

/** Runs the test files and reports each as it ends; the caller prints the closing line. */
export const runTests = async (options: RunOptions): Promise<Totals> => {
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  const files = findTestFiles(options);
  if (files.length === 0) {
    options.print(`FAIL  no test file matches ${options.only.join(' ') || 'test/**/*.test.ts'}\n`);
    totals.failed += 1;
  }
  const queue = files.values();
  const runQueue = async (): Promise<void> => {
    for (const file of queue) {
      const { passed, failed, skipped } = await runTestFile(file, options);
      totals.passed += passed;
      totals.failed += failed;
      totals.skipped += skipped;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, runQueue));
  return totals;
};

/** Whether this is continuous integration, by the variable that all of its services set. */
export const isStrict = (env: NodeJS.ProcessEnv): boolean => !['', '0', 'false', undefined].includes(env['CI']);

/** What the command line asks for: `[--only] part…`. */
export const filtersOf = (args: readonly string[]): string[] => args.filter((arg) => arg !== '--only');

/** Sees to it that no test process outlives the run, however the run ends. */
export const endTestsWithProcess = (): void => {
  process.once('exit', killTestProcesses);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
};

if (import.meta.main) {
  endTestsWithProcess();
  const totals = await runTests({
    root: resolve(import.meta.dirname, '../..'),
    only: filtersOf(process.argv.slice(2)),
    strict: isStrict(process.env),
    print: (text) => process.stdout.write(text),
  });
  process.stdout.write(`${closingLine(totals)}\n`);
  process.exitCode = totals.failed > 0 ? 1 : 0;
}
