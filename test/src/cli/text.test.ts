import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { problem, ProblemError } from '../../../machines/error.ts';
import type { Event, EventType } from '../../../machines/event.ts';
import { differenceOf } from '../../../src/cli/demo-difference.ts';
import { EXIT, failureOf, isRefused, UsageError } from '../../../src/cli/errors.ts';
import { createWho, eventLine } from '../../../src/cli/event-line.ts';
import { createMilestones } from '../../../src/cli/progress.ts';
import { renderResult, renderTable } from '../../../src/cli/render.ts';
import { oneLine } from '../../../src/cli/text.ts';

const test = suite('text of the CLI');

const event = (
  seq: number,
  type: EventType,
  data: Record<string, unknown>,
  client_id: string | null = null,
): Event => ({
  id: 'evt_1',
  seq,
  session_id: 'ses_1',
  type,
  timestamp: '2026-01-02T03:04:05.678Z',
  data,
  metadata: {
    source: 'session',
    severity: 'info',
    principal: 'ada',
    client_id,
    correlation_id: null,
    causation_id: null,
    traceparent: null,
  },
});

test('what others wrote cannot move the cursor', () => {
  assert.is(oneLine('a\u001b[2Jb\nc\u0007', 80), 'a\u{fffd}[2Jb c\u{fffd}');
  assert.is(renderResult({ name: '\u001b]0;x\u0007' }), 'name  \u{fffd}]0;x\u{fffd}');
  assert.is(renderTable([{ '\u001b[1m': '\u009b31m' }]), '\u{fffd}[1m\n\u{fffd}31m');
});

test('a line is no longer than it may be', () => {
  assert.is(oneLine('abcdef', 4), 'abc…');
});

test('rows are a table without frames', () => {
  const text = renderTable([
    { name: 'a.ts', lines: 1234 },
    { name: 'bb.ts', lines: 5, extra: null },
  ]);
  assert.equal(
    text.split('\n').map((line) => line.replace(/ {2,}/g, ' | ')),
    ['name | lines | extra', 'a.ts | 1,234', 'bb.ts | 5'].map((line) => line),
  );
});

test('long tables are cut, and say so', () => {
  const text = renderTable(Array.from({ length: 60 }, (_, n) => ({ n })));
  assert.match(text, '… and 10 more');
});

test('a result: text, fields, tables and nothing', () => {
  assert.is(renderResult('hello\nthere'), 'hello\nthere');
  assert.is(renderResult(null), '');
  assert.is(renderResult(3), '3');
  assert.is(renderResult(['a', 'b']), 'a\nb');
  const text = renderResult({
    files: 1200,
    path: '.',
    languages: [{ name: 'TypeScript', files: 3 }],
    tree: { depth: 2 },
  });
  assert.match(text, 'files  1,200');
  assert.match(text, /languages\n {2}name +files\n {2}TypeScript +3/);
  assert.match(text, /tree\n {2}depth {2}2/);
});

test('an event is one line with time, seq, type, who and the gist', () => {
  const who = createWho();
  const joined = eventLine(
    event(1, 'client_joined', { client_id: 'cli_1', name: 'laptop', type: 'cli' }, 'cli_1'),
    who,
  );
  assert.match(joined, /^03:04:05\.678 +1 {2}client_joined +laptop \(cli_1\) {2}type=cli/);
  const progress = eventLine(
    event(12, 'execution_progress', { execution_id: 'exe_1', progress: 41.6, message: 'src\nx' }, 'cli_1'),
    who,
  );
  assert.match(progress, /12 {2}execution_progress +laptop \(cli_1\) {2}exe_1 42 % src x$/);
  const data = { execution_id: 'exe_1', until: '2026-01-02T03:04:05.678Z', reason: 'sleep' };
  const waiting = eventLine(event(12, 'execution_waiting', data), who);
  assert.match(waiting, /execution_waiting +ada {2}exe_1 until=2026-01-02T03:04:05\.678Z reason=sleep$/);
  const failed = eventLine(
    event(13, 'execution_failed', { execution_id: 'exe_1', error: problem('handler_failed', 'no') }),
    who,
  );
  assert.match(failed, /ada {2}exe_1 The command failed: no$/);
});

test('errors are one line, with their fields, and an exit code', () => {
  const invalid = new ProblemError('invalid_input', 'not as expected: a', {
    more: { errors: [{ field: 'a.b', expected: 'a number' }] },
  });
  assert.equal(failureOf(invalid, 'http://x'), {
    line: 'A field does not have the expected value: not as expected: a; a.b: expected a number',
    code: EXIT.failed,
  });
  assert.is(failureOf(new UsageError('wrong'), 'http://x').code, EXIT.usage);
  assert.not.match(failureOf(new Error('a\nb'), 'http://x').line, '\n');
});

test('a refused connection says how to start the server', () => {
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  const both = new AggregateError([refused, refused]);
  for (const cause of [refused, both]) {
    const error = new ProblemError('unavailable', 'x', { cause: new TypeError('fetch failed', { cause }) });
    assert.ok(isRefused(error));
    assert.match(failureOf(error, 'http://here').line, /http:\/\/here.*arbor serve/);
  }
  const round = new Error('round');
  round.cause = round;
  assert.is(isRefused(round), false);
});

test('progress without a terminal: the first, each tenth, the end', () => {
  const isMilestone = createMilestones();
  assert.equal(
    [0, 1, 9, 10, 11, 35, 36, 40, 99, 100, 100].filter((value) => isMilestone(value)),
    [0, 10, 35, 40, 99, 100],
  );
});

test('the difference between a log and what was seen', () => {
  const log = [1, 2, 3].map((seq) => event(seq, 'execution_output', { seq }));
  const sight = (seen: readonly Event[], joinedAt = 1) => [{ label: 'one', joinedAt, seen }];
  assert.is(differenceOf(log, sight(log.slice(1))), null);
  assert.match(differenceOf(log, sight(log.slice(1, 2))) ?? '', 'did not see seq 3');
  assert.match(differenceOf(log, sight([...log.slice(1), event(4, 'execution_output', {})])) ?? '', 'seq 4');
  assert.match(differenceOf(log, sight([log[1] as Event, log[1] as Event])) ?? '', 'saw seq 2 where 3 belongs');
  assert.match(
    differenceOf(log, sight([log[1] as Event, event(3, 'execution_output', { seq: 4 })])) ?? '',
    'another event 3',
  );
  assert.match(differenceOf(log.toSpliced(1, 1), sight([])) ?? '', 'the log has seq 3 where 2 belongs');
});

test.run();
