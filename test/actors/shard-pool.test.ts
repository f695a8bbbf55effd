import { MessageChannel } from 'node:worker_threads';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clockAnchor } from '../../actors/clock.ts';
import { SHARD_LIMITS } from '../../actors/shard-messages.ts';
import { createShardPool } from '../../actors/shard-pool.ts';
import { until } from '../support/ring.ts';

const test = suite('shard pool');

const start = () => {
  const ends: string[] = [];
  let pongs = 0;
  const pool = createShardPool({
    workers: 1,
    clockAnchor: clockAnchor(0),
    catalogue: new URL('../support/machines.ts', import.meta.url).href,
    limits: SHARD_LIMITS,
    maxHeapMb: 256,
    connectJournal: () => new MessageChannel().port1,
    onOutput: () => void (pongs += 1),
    onEnd: (_, reason) => void ends.push(reason),
  });
  const answers = async (): Promise<void> => {
    const before = pongs;
    pool.send(0, { type: 'ping', id: 1 });
    await until('the worker answers', () => pongs > before);
  };
  return { pool, ends, answers };
};

test('a worker that ends after another has taken its place is no news of that one', async () => {
  const { pool, ends, answers } = start();
  pool.start(0);
  await answers();
  pool.kill(0);
  pool.start(0);
  await answers();
  assert.equal(ends, []);
  pool.kill(0);
  await until('the end is told', () => ends.length === 1);
  await pool.close();
});

test('a closed pool starts nothing, a rebuild under way included', async () => {
  const { pool, ends, answers } = start();
  pool.start(0);
  await answers();
  const rebuilt = pool.rebuild();
  const closed = pool.close();
  await rebuilt;
  pool.start(0);
  await closed;
  assert.equal(ends, []);
});

test.run();
