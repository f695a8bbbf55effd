/**
 * What `npm test` runs: build, types, format, lint, unused code, then every test. A failing step is counted as a
 * failure and stops nothing. The last line is `N passed, N failed[, N skipped]`.
 *
 * With arguments (`npm test -- brokers`) only the tests whose paths have one of them run, and no other step.
 */
import { spawn } from 'node:child_process';
import { delimiter, join, resolve } from 'node:path';
import { endTestsWithProcess, filtersOf, isStrict, runTests } from './run.ts';
import { closingLine } from './tally.ts';

interface Step {
  name: string;
  command: readonly [string, ...string[]];
}

const root = resolve(import.meta.dirname, '../..');
const binaries = join(root, 'node_modules/.bin');
const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env['PATH'] ?? ''}` };
const STEP_LIMIT_MS = 120_000;

const STEPS: readonly Step[] = [
  { name: 'build', command: ['node', 'test/support/build.ts'] },
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'format', command: ['biome', 'format', '--max-diagnostics=20'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'unused', command: ['knip', '--no-progress'] },
];

const print = (text: string): void => {
  process.stdout.write(text);
};

/** Runs one step; true if it succeeded. Its output is shown only when it did not. */
const runStep = async ({ name, command: [program, ...args] }: Step): Promise<boolean> => {
  const startedAt = performance.now();
  const child = spawn(program, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: STEP_LIMIT_MS });
  let output = '';
  const keep = (text: string): void => {
    output += text;
  };
  child.stdout.setEncoding('utf8').on('data', keep);
  child.stderr.setEncoding('utf8').on('data', keep);
  const problem = await new Promise<string | undefined>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('close', (code, signal) => done(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}`));
  });
  const time = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  print(
    problem === undefined ? `ok    ${name} (${time})\n` : `FAIL  ${name}: ${problem} (${time})\n${output.trimEnd()}\n`,
  );
  return problem === undefined;
};

endTestsWithProcess();
const only = filtersOf(process.argv.slice(2));
let failedSteps = 0;
for (const step of only.length > 0 ? [] : STEPS) if (!(await runStep(step))) failedSteps += 1;
const totals = await runTests({ root, only, strict: isStrict(process.env), print });
const failed = totals.failed + failedSteps;
print(`${closingLine({ ...totals, failed })}\n`);
process.exitCode = failed > 0 ? 1 : 0;
