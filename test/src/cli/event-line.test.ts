import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event, EventType } from '../../../machines/event.ts';
import { createWho, eventLine } from '../../../src/cli/event-line.ts';

const test = suite('event line');

const SHARE = 'shr_01K0000000000000000000ABCD';
const CAPABILITY = 'cap_01K0000000000000000000ABCD';

const line = (type: EventType, data: Record<string, unknown>): string => {
  const event: Event = {
    id: 'evt_1',
    seq: 1,
    session_id: 'ses_1',
    type,
    timestamp: '2026-11-24T01:02:03.004Z',
    data,
    metadata: {
      source: 'test',
      severity: 'info',
      principal: 'ada',
      client_id: null,
      correlation_id: null,
      causation_id: null,
      traceparent: null,
    },
  };
  const [start, rest] = eventLine(event, createWho()).split(`${type} `);
  assert.is(start, '01:02:03.004      1  ');
  return (rest as string).trimStart().replace(/^ada */, '');
};

const capability = {
  id: CAPABILITY,
  resource_type: 'cli_operations',
  operations: ['read'],
  scope: ['*'],
  constraints: { read_only: true, max_operations: 100 },
  principal: `share:${SHARE}`,
  session_id: 'ses_1',
  parent_id: null,
  depth: 1,
  issued_at: '2026-11-24T01:02:03.004Z',
};

test('a share: its id, label and what it allows', () => {
  assert.is(
    line('share_created', { share_id: SHARE, label: 'for Grace', capability }),
    `${SHARE} label=for Grace [read on every command; read only; 100 operations in all]`,
  );
  assert.is(line('share_revoked', { share_id: SHARE, reason: 'expired' }), `${SHARE} reason=expired`);
});

test('a capability that was revoked: its id first', () => {
  assert.is(
    line('capability_revoked', { reason: 'revoked', capability_id: CAPABILITY }),
    `${CAPABILITY} reason=revoked`,
  );
});

test('a violation: what was refused, why, and how often', () => {
  assert.is(
    line('security_violation', { client_id: 'cli_1', operation: 'commands.execute', reason: 'scope', count: 3 }),
    'cli_1  commands.execute refused: scope (3 times)',
  );
  assert.is(line('security_violation', { reason: 'owner', count: 1 }), 'a call refused: owner');
});

test.run();
