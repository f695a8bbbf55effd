/** What the output of one test file has said so far. */
export interface Tally {
  /** uvu's summaries: one for each time its queue ran to the end. */
  summaries: number;
  total: number;
  passed: number;
  /** `test.skip`, which uvu counts without a name. */
  unnamed: number;
  skips: string[];
}

/** How the process of a test file came to its end. */
export interface Ending {
  cause: 'exited' | 'limit' | 'lingered';
  code: number | null;
  signal: string | null;
  /** Processes of its group that outlived it. */
  left: readonly string[];
  limitMs: number;
}

export interface Verdict {
  passed: number;
  failed: number;
  skipped: number;
  reasons: string[];
}

const COUNT = /^ {2}(Total|Passed|Skipped): +(\d+)$/;
const END_OF_SUMMARY = /^ {2}Duration: /;
/** uvu writes its dots without a line break, so the mark need not open the line. */
const SKIP = /# skip ([^:]+: .+)$/;

export const createTally = (): Tally => ({ summaries: 0, total: 0, passed: 0, unnamed: 0, skips: [] });

/** Reads one line of a test file's standard output into the tally. */
export const tallyLine = (tally: Tally, line: string): void => {
  const count = COUNT.exec(line);
  if (count) {
    const value = Number(count[2]);
    if (count[1] === 'Total') tally.total += value;
    else if (count[1] === 'Passed') tally.passed += value;
    else tally.unnamed += value;
    return;
  }
  if (END_OF_SUMMARY.test(line)) tally.summaries += 1;
  const skip = SKIP.exec(line)?.[1];
  if (skip !== undefined) tally.skips.push(skip);
};

const died = ({ code, signal }: Ending): string => (signal === null ? `exit code ${code}` : `ended by ${signal}`);

/**
 * What a test file is worth. uvu is silent about a forgotten `run()`, a throwing `before` hook, a hang and a leak, so
 * each of these counts as a failure here. A test that printed `# skip <name>: <why>` passed for uvu and is skipped for
 * us; with `strict` (continuous integration, where nothing may be missing) a skip is a failure.
 */
export const judge = (tally: Tally, ending: Ending, strict: boolean): Verdict => {
  const reasons: string[] = [];
  const skipped = tally.skips.length + tally.unnamed;
  if (ending.cause === 'limit') reasons.push(`killed at its limit of ${ending.limitMs / 1000} s`);
  if (ending.cause === 'lingered') reasons.push('left something running: it did not exit after its tests');
  if (ending.left.length > 0) reasons.push(`left something running: ${ending.left.join(', ')}`);

  const unfinished = ending.cause === 'exited' && tally.summaries === 0 && tally.skips.length === 0;
  if (unfinished && ending.code === 0) reasons.push('ran no tests: does every suite call run()?');
  else if (unfinished) reasons.push(`${died(ending)} before its tests were over`);
  else if (tally.summaries > 0 && tally.total === 0 && skipped === 0) reasons.push('ran no tests');

  const notPassed = Math.max(0, tally.total - tally.passed);
  if (notPassed === 0 && reasons.length === 0 && ending.code !== 0)
    reasons.push(`${died(ending)} although no test failed`);
  if (notPassed > 0 && ending.code === 0) reasons.push(`${notPassed} did not run: did a before hook throw?`);

  const structural = notPassed > 0 && ending.code === 0 ? reasons.length - 1 : reasons.length;
  const failed = notPassed + structural;
  const passed = Math.max(0, tally.passed - tally.skips.length);
  if (!strict) return { passed, failed, skipped, reasons };
  for (const skip of tally.skips) reasons.push(`skipped, which is a failure here: ${skip}`);
  if (tally.unnamed > 0) reasons.push(`${tally.unnamed} skipped, which is a failure here`);
  return { passed, failed: failed + skipped, skipped: 0, reasons };
};

/** The closing line that every run ends with. */
export const closingLine = ({ passed, failed, skipped }: Pick<Verdict, 'passed' | 'failed' | 'skipped'>): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
