import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StoreFailedError } from '../../actors/journal.ts';
import { createMemoryJournal } from '../../actors/journal-memory.ts';
import { createMemoryDisk } from '../../actors/memory-disk.ts';
import { journalContract } from '../contract/journal.ts';
import { createWriter, sessionId } from '../contract/journal-turns.ts';

journalContract('memory journal', async () => {
  const disk = createMemoryDisk();
  return { open: async () => createMemoryJournal({ disk }), dispose: async () => {} };
});

const test = suite('memory journal');

test('a write that is made to fail keeps its cause and leaves nothing', async () => {
  let broken = false;
  const cause = new Error('no space');
  const journal = createMemoryJournal({
    beforeWrite: (write) => {
      if (broken && write === 'commit') throw cause;
    },
  });
  const writer = await createWriter(journal, 1);
  const turn = writer.next({ events: [[sessionId(1), 1, 'session_opened']] });
  broken = true;
  const error = await journal.commit([turn]).then(
    () => null,
    (caught: unknown) => caught,
  );
  assert.instance(error, StoreFailedError);
  assert.is((error as StoreFailedError).cause, cause);
  assert.is((await journal.load(sessionId(1))).seq, 0);
  broken = false;
  assert.equal(await journal.commit([turn]), ['committed']);
});

test.run();
