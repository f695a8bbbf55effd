import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createJournalLoop } from '../../actors/journal-loop.ts';
import { createMemoryJournal } from '../../actors/journal-memory.ts';
import type { JournalNotice, JournalOutput } from '../../actors/journal-messages.ts';
import { StoreFailedError } from '../../actors/journal.ts';
import { encodeTurn } from '../../actors/turn-record.ts';

const test = suite('journal loop');

const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const turnOf = (epoch: number, turn: number) => ({
  shard: 1,
  epoch,
  turn,
  text: encodeTurn({
    head: { shard: 1, epoch, turn, at: 1, read: { main: turn }, snapshots: [], events: [], out: [], remembered: [] },
    contexts: [],
    events: [],
    out: [],
    remembered: [],
  }),
});

test('tables that cannot be filled for a while are tried again, and the store counts as recovered', async () => {
  const notices: JournalNotice['type'][] = [];
  const later: (() => void)[] = [];
  let fails = 0;
  const journal = createMemoryJournal();
  const loop = createJournalLoop({
    journal: {
      ...journal,
      apply: async () => {
        if (fails-- > 0) throw new StoreFailedError('no room for the tables');
        return false;
      },
    },
    stopwatch: () => 0,
    notify: ({ type }) => void notices.push(type),
    later: (task) => void later.push(task),
  });
  const outputs: JournalOutput[] = [];
  const take = async (input: Parameters<typeof loop.take>[0]): Promise<void> => {
    loop.take(input, (output) => void outputs.push(output));
    loop.wake();
    await breathe();
  };
  await take({ type: 'claim', shards: [1] });
  const release = { replies: [], effects: [], tookMs: 0, inputs: 1 };
  fails = 2;
  await take({ type: 'turn', turn: turnOf(1, 1), release });
  for (let round = 0; round < 10; round++) {
    for (const task of later.splice(0)) task();
    await breathe();
  }
  assert.equal(notices, ['claimed', 'released', 'failed', 'failed', 'recovered']);
  assert.is(later.length, 0, 'nothing is left to do');
});

test.run();
