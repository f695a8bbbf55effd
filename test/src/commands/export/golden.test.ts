import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EXPORT_FORMATS } from '../../../../src/operations/export-formats.ts';
import { ADA, EXE, logOf, written } from './log.ts';

/**
 * A small session as a person would read it: the files beside this one, which `ARBOR_GOLDEN=write` makes anew, for a look
 * at what has changed.
 */
const test = suite('a small session');

const GRACE = 'cli_01K0000000000000000000GGGG';
const OTHER = 'exe_01K0000000000000000000FFFF';
const SHARE = 'shr_01K0000000000000000000SSSS';
const ada = { principal: 'ada', client_id: ADA };

const events = logOf([
  ['session_opened', { session_id: 'ses', owner: 'ada', ttl_ms: 1 }, { principal: 'ada' }],
  ['client_joined', { client_id: ADA, type: 'cli', name: 'terminal', principal: 'ada' }, { principal: 'ada' }],
  [
    'share_created',
    { share_id: SHARE, label: 'for Grace', capability: { operations: ['read'] }, created_by: ada },
    ada,
  ],
  [
    'client_joined',
    { client_id: GRACE, type: 'web', name: null, principal: `share:${SHARE}`, via_share: SHARE },
    { principal: `share:${SHARE}` },
  ],
  ['execution_queued', { execution_id: EXE, command: 'build', priority: 5, timeout_ms: 1, started_by: ada }, ada],
  ['execution_started', { execution_id: EXE, attempt: 1 }],
  [
    'execution_progress',
    { execution_id: EXE, progress: 40.4, message: '2 of 5 files', metadata: {} },
    { severity: 'debug' },
  ],
  ['execution_output', { execution_id: EXE, stream: 'stdout', chunk: 'one\ntwo\n' }, { severity: 'debug' }],
  ['execution_output', { execution_id: EXE, stream: 'stderr', chunk: '<b>a ``` fence</b>' }, { severity: 'debug' }],
  [
    'execution_retrying',
    { execution_id: EXE, attempt: 2, delay_ms: 900, problem: { title: 'The command failed', detail: 'no room' } },
    { severity: 'warning' },
  ],
  ['execution_started', { execution_id: EXE, attempt: 2 }],
  [
    'coordination_request',
    {
      coordination_id: 'crd_1',
      operation: 'deploy',
      description: 'Version 2\nto everybody',
      required_confirmations: 1,
      expires_at: '2026-01-31T12:05:00.000Z',
      execution_id: EXE,
    },
    ada,
  ],
  ['coordination_vote', { coordination_id: 'crd_1', vote: 'confirm', comment: 'looks good' }, { principal: 'grace' }],
  [
    'coordination_confirmed',
    {
      coordination_id: 'crd_1',
      operation: 'deploy',
      execution_id: EXE,
      confirmations: [{ principal: 'grace', client_id: GRACE, comment: 'looks good' }],
      rejections: [],
    },
  ],
  [
    'webhook_dead',
    { webhook_id: 'whk_1', event_type: 'coordination_vote', event_seq: 13, attempts: 9, reason: 'answered 500' },
    { severity: 'warning' },
  ],
  ['execution_queued', { execution_id: OTHER, command: 'help', priority: 0, timeout_ms: 1, started_by: ada }, ada],
  [
    'execution_failed',
    { execution_id: OTHER, error: { title: 'The command failed', detail: 'x' } },
    { severity: 'error' },
  ],
  [
    'execution_completed',
    { execution_id: EXE, result: { files: 5 }, artifacts: [{ name: 'report.md' }], duration_ms: 9 },
  ],
  [
    'security_violation',
    { principal: `share:${SHARE}`, client_id: GRACE, operation: 'shares.create', reason: 'may_share', count: 3 },
    { severity: 'warning', client_id: GRACE },
  ],
  ['something_new', { of: 'a later release', n: 1 }, ada],
  ['share_revoked', { share_id: SHARE, capability_id: 'cap_1', reason: 'revoked' }, ada],
  ['client_left', { client_id: GRACE, reason: 'revoked' }],
  ['session_closed', { session_id: 'ses', executions: 2 }, { principal: 'ada' }],
]);

const EXTENSIONS = { json: 'json', ndjson: 'ndjson', csv: 'csv', markdown: 'md', html: 'html' };

for (const format of EXPORT_FORMATS)
  test(`as ${format}`, async () => {
    const file = join(import.meta.dirname, `golden.${EXTENSIONS[format]}.txt`);
    const text = await written(format, events);
    if (process.env['ARBOR_GOLDEN'] === 'write') writeFileSync(file, text);
    assert.is(text, readFileSync(file, 'utf8'));
  });

test('the parts in which it is read do not show', async () => {
  for (const format of EXPORT_FORMATS)
    assert.is(await written(format, events, undefined, 1), await written(format, events, undefined, 100));
});

test('without any event it is whole all the same', async () => {
  assert.equal(JSON.parse(await written('json', [])).events, []);
  assert.is(await written('ndjson', []), '');
  assert.is((await written('csv', [])).split('\r\n').length, 2);
  for (const format of ['markdown', 'html'] as const) assert.match(await written(format, []), '0 events, complete');
});

test.run();
