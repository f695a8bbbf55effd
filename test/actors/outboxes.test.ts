import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StoreFailedError, type Claim, type OutMessage } from '../../actors/journal.ts';
import { createOutboxes } from '../../actors/outboxes.ts';

const test = suite('outboxes');

const claim = (senders: readonly number[]): Claim => ({
  shard: 7,
  epoch: 3,
  turn: 0,
  read: {},
  sent: {},
  waits: [],
  senders,
});

test('an outbox that could not be read is read again', async () => {
  const sent: number[] = [];
  const later: (() => void)[] = [];
  const errors: unknown[] = [];
  let fails = 2;
  const outboxes = createOutboxes({
    inFlight: 2,
    send: (_, [, , , n]) => void sent.push(n),
    fetch: async (_, __, after, limit): Promise<OutMessage[]> => {
      if (fails-- > 0) throw new StoreFailedError('not now');
      return [1, 2, 3]
        .filter((n) => n > after)
        .slice(0, limit)
        .map((n) => ({ n, key: 'k', text: '{}' }));
    },
    onError: (error) => void errors.push(error),
    later: (task) => void later.push(task),
  });
  outboxes.claimed(claim([5]));
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    for (const task of later.splice(0)) task();
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(errors.length, 2);
  assert.equal(sent, [1, 2]);
  assert.is(later.length, 0);
});

test.run();
