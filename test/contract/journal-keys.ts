import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Journal } from '../../actors/journal.ts';

/** What every adapter keeps of keys. Adds its tests to `test`; `withPlace` opens a journal for each. */
export const journalKeysContract = (
  test: Test,
  withPlace: (run: (journal: Journal, place: { open(): Promise<Journal> }) => Promise<void>) => () => Promise<void>,
): void => {
  test(
    'keys are kept',
    withPlace(async (journal, place) => {
      const key = {
        id: 'b',
        principal: 'op',
        operator: true,
        hash: 'ff',
        created_at: 1_700_000_000_123,
        revoked_at: null,
      };
      const other = { ...key, id: 'a', principal: 'alice', operator: false };
      await journal.keys.put(key);
      await journal.keys.put(other);
      await journal.keys.put({ ...key, revoked_at: 5 });
      assert.is(await journal.keys.find('c'), null);
      await journal.close();
      const again = await place.open();
      assert.equal(await again.keys.list(), [other, { ...key, revoked_at: 5 }]);
      assert.equal(await again.keys.find('a'), other);
      await again.close();
    }),
  );
};
