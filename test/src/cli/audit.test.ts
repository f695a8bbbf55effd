import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { auditLine } from '../../../src/cli/audit.ts';
import type { AuditRecord } from '../../../src/operations/audit.ts';
import { SESSION } from '../client/fake-gateway.ts';
import { closeArbor, openArbor, startArbor, type ArborContext } from './start-arbor.ts';

const test = suite<ArborContext>('arbor audit');

const MAC = 'ab'.repeat(32);

const record = (n: number): AuditRecord => ({
  n,
  type: 'share_created',
  timestamp: '2026-11-24T01:02:03.004Z',
  session_id: SESSION,
  principal: 'ada',
  client_id: null,
  data: { share_id: `shr_${n}`, label: null },
  mac: MAC,
});

test.before.each(openArbor);
test.after.each(closeArbor);

test('list: every page, one record a line; --after, --json', async (context) => {
  const asked: number[] = [];
  context.gateway.handlers = {
    'audit.list': ({ after }) => {
      asked.push(after);
      return after < 2 ? { items: [record(1), record(2)], next: 2 } : { items: [record(3)], next: null };
    },
  };
  const { code, stdout, stderr } = await startArbor(context, ['audit']).ended;
  assert.is(code, 0, stderr);
  assert.equal(
    stdout.trimEnd().split('\n'),
    [1, 2, 3].map((n) => `     ${n}  2026-11-24 01:02:03.004  share_created       ada  ${SESSION}  share_id=shr_${n}`),
  );
  const rest = await startArbor(context, ['audit', '--after', '2', '--json']).ended;
  assert.equal(JSON.parse(rest.stdout), record(3));
  assert.equal(asked, [0, 2, 2]);
});

test('a record that others have worded stays one line', () => {
  const line = auditLine({ ...record(7), session_id: null, principal: null, data: { name: 'a\n\u001b[31m' } });
  assert.not.ok(line.includes('\n') || line.includes('\u001b'));
  assert.match(line, /share_created +- {2}- {2}name=a/);
});

test('verify: the verdict, 0; --head goes along', async (context) => {
  const heads: unknown[] = [];
  context.gateway.handlers = {
    'audit.verify': ({ head }) => (heads.push(head), { valid: true, records: 3, head: `3:${MAC}` }),
  };
  const { code, stdout } = await startArbor(context, ['audit', 'verify']).ended;
  assert.equal([code, stdout], [0, `valid, 3 records, head 3:${MAC}\n`]);
  const json = await startArbor(context, ['audit', 'verify', '--json', '--head', `2:${MAC}`]).ended;
  assert.is(JSON.parse(json.stdout).valid, true);
  assert.equal(heads, [undefined, `2:${MAC}`]);
});

test('verify: 1 where the chain is broken, and the record that is', async (context) => {
  context.gateway.handlers = {
    'audit.verify': () => ({ valid: false, records: 3, head: `3:${MAC}`, first_bad: 2 }),
  };
  const { code, stdout, stderr } = await startArbor(context, ['audit', 'verify']).ended;
  assert.equal([code, stdout], [1, '']);
  assert.match(stderr, /^arbor: the audit is not valid: record 2 /);
  const json = await startArbor(context, ['audit', 'verify', '--json']).ended;
  assert.equal([json.code, JSON.parse(json.stdout).first_bad], [1, 2]);
});

test.run();
