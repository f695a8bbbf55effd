import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { closingLine, createTally, judge, tallyLine, type Ending, type Tally } from './tally.ts';

const test = suite('tally');

const EXITED: Ending = { cause: 'exited', code: 0, signal: null, left: [], limitMs: 1000 };

const tallyOf = (text: string): Tally => {
  const tally = createTally();
  for (const line of text.split('\n')) tallyLine(tally, line);
  return tally;
};

const summary = (total: number, passed: number, skipped = 0): string =>
  `  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   ${skipped}\n  Duration:  1.00ms\n`;

test('counts what passed', () => {
  assert.equal(judge(tallyOf(summary(3, 3)), EXITED, false), { passed: 3, failed: 0, skipped: 0, reasons: [] });
});

test('counts what failed once, whatever the exit code adds', () => {
  const verdict = judge(tallyOf(summary(3, 1)), { ...EXITED, code: 1 }, false);
  assert.equal(verdict, { passed: 1, failed: 2, skipped: 0, reasons: [] });
});

test('adds up the summaries of a file whose queue ran twice', () => {
  assert.is(judge(tallyOf(summary(3, 3) + summary(2, 2)), EXITED, false).passed, 5);
});

test('does not pass a file without a summary', () => {
  const verdict = judge(tallyOf('hello\n'), EXITED, false);
  assert.is(verdict.failed, 1);
  assert.match(verdict.reasons.join(), 'ran no tests');
});

test('does not pass a file whose suites are empty', () => {
  assert.is(judge(tallyOf(summary(0, 0)), EXITED, false).failed, 1);
});

test('fails the tests that a throwing before hook kept from running, although uvu exits with 0', () => {
  const verdict = judge(tallyOf(summary(4, 0)), EXITED, false);
  assert.is(verdict.failed, 4);
  assert.match(verdict.reasons.join(), 'before hook');
});

test('fails a file that died after its tests passed', () => {
  const verdict = judge(tallyOf(summary(2, 2)), { ...EXITED, code: null, signal: 'SIGSEGV' }, false);
  assert.is(verdict.failed, 1);
  assert.match(verdict.reasons.join(), 'SIGSEGV');
});

test('fails a file at its limit, one that lingers and one that leaves a process', () => {
  const tally = tallyOf(summary(1, 1));
  for (const ending of [
    { ...EXITED, cause: 'limit', code: null, signal: 'SIGKILL' },
    { ...EXITED, cause: 'lingered', code: null, signal: 'SIGKILL' },
    { ...EXITED, left: ['mosquitto (12)'] },
  ] satisfies Ending[]) {
    assert.is(judge(tally, ending, false).failed, 1, ending.cause);
  }
});

test('takes a named skip out of what passed, also behind the dots that uvu prints', () => {
  const tally = tallyOf(`• • # skip redis: redis-server is not installed\n•   (3 / 3)\n${summary(3, 3)}`);
  assert.equal(tally.skips, ['redis: redis-server is not installed']);
  assert.equal(judge(tally, EXITED, false), { passed: 2, failed: 0, skipped: 1, reasons: [] });
});

test('lets a file be skipped as a whole', () => {
  const verdict = judge(tallyOf('# skip pages: chromium is not installed\n'), EXITED, false);
  assert.equal([verdict.failed, verdict.skipped], [0, 1]);
});

test('counts a skip as a failure where nothing may be missing', () => {
  const tally = tallyOf(`# skip redis: not installed\n${summary(3, 3, 1)}`);
  const verdict = judge(tally, EXITED, true);
  assert.equal([verdict.passed, verdict.failed, verdict.skipped], [2, 2, 0]);
});

test('closes with passed and failed, and with skipped only where there are some', () => {
  assert.is(closingLine({ passed: 7, failed: 0, skipped: 0 }), '7 passed, 0 failed');
  assert.is(closingLine({ passed: 7, failed: 1, skipped: 2 }), '7 passed, 1 failed, 2 skipped');
});

test.run();
