import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { REMEMBERED_LIMIT } from '../../actors/journal.ts';
import { createResident } from '../../actors/resident.ts';
import { createTurn } from '../../actors/turn.ts';

const test = suite('turn');

const SOURCES = { random: () => 0.5, newEventId: () => 'evt_1' };

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

test.run();
