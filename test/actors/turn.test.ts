import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { REMEMBERED_LIMIT } from '../../actors/journal.ts';
import { createResident } from '../../actors/resident.ts';
import { createTurn } from '../../actors/turn.ts';
import type { Envelope } from '../../machines/message.ts';

const test = suite('turn');

const SOURCES = { random: () => 0.5, newEventId: () => 'evt_1', newDeliveryId: () => 'dlv_1' as const };

test('a turn that is undone leaves the remembered answers as they were', () => {
  const resident = createResident('ses_a', 7);
  for (let n = 0; n < REMEMBERED_LIMIT; n++) resident.remembered.set(`key ${n}`, `${n}`);
  const before = [...resident.remembered];
  const turn = createTurn(1_000, SOURCES);
  turn.remember(resident, 'key 5', 'another');
  turn.remember(resident, 'new', '1');
  turn.remember(resident, 'key 0', 'again');
  turn.remember(resident, 'new', '2');
  assert.is(resident.remembered.size, REMEMBERED_LIMIT);
  turn.undo();
  assert.is(JSON.stringify([...resident.remembered]), JSON.stringify(before));
});

test('an entry of the audit says when, where, who and what; what is not known is null', () => {
  const resident = createResident('ses_a', 7);
  const turn = createTurn(1_000, SOURCES);
  const to = { session: 'ses_a', kind: 'session', id: 'ses_a' } as const;
  const meta = { principal: 'alice', client_id: 'cli_1', correlation_id: 'x', traceparent: null } as const;
  const envelope: Envelope = { to, message: { type: 'm' }, request: { id: 'req_1' }, meta };
  turn.audit(resident, envelope, { type: 'audit', audit: 'command_accepted', data: { command: 'export' } });
  turn.audit(resident, { to, message: { type: 'm' } }, { type: 'audit', audit: 'share_revoked', data: {} });
  const common = { at: 1_000, session_id: 'ses_a' };
  assert.equal(
    turn.audits.map((text) => JSON.parse(text)),
    [
      { type: 'command_accepted', ...common, principal: 'alice', client_id: 'cli_1', data: { command: 'export' } },
      { type: 'share_revoked', ...common, principal: null, client_id: null, data: {} },
    ],
  );
});

test.run();
