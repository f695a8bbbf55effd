import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createJournalLoop } from '../../actors/journal-loop.ts';
import { createMemoryJournal } from '../../actors/journal-memory.ts';
import type { JournalNotice, JournalOutput } from '../../actors/journal-messages.ts';
import { StoreFailedError } from '../../actors/journal.ts';
import { encodeTurn } from '../../actors/turn-record.ts';
import { auditEntry } from '../contract/journal-audit.ts';

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
        return 0;
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
  assert.equal(notices, ['claimed', 'released', 'failed', 'failed', 'settled', 'recovered']);
  assert.is(later.length, 0, 'nothing is left to do');
});

test('a store that has failed for somebody who has ended is tried again all the same', async () => {
  const notices: JournalNotice['type'][] = [];
  const later: (() => void)[] = [];
  let isFull = false;
  const loop = createJournalLoop({
    journal: createMemoryJournal({
      beforeWrite: () => {
        if (isFull) throw new Error('no space left on device');
      },
    }),
    stopwatch: () => 0,
    notify: ({ type }) => void notices.push(type),
    later: (task) => void later.push(task),
  });
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round++) {
      for (const task of later.splice(0)) task();
      await breathe();
    }
  };
  isFull = true;
  loop.take({ type: 'claim', shards: [1] }, () => {});
  loop.wake();
  await breathe();
  await rounds(2);
  assert.equal(notices, ['failed', 'failed', 'failed']);
  isFull = false;
  await rounds(2);
  assert.equal(notices.slice(3), ['recovered']);
  assert.is(later.length, 0, 'nothing is left to do');
});

/** A loop over a journal in memory that says what it was asked to note and to commit. */
const started = (fails: (entries: number) => boolean = () => false) => {
  const journal = createMemoryJournal();
  const asked: (readonly [what: 'note' | 'commit' | 'keys', count: number])[] = [];
  const notices: JournalNotice[] = [];
  const loop = createJournalLoop({
    journal: {
      ...journal,
      note: async (entries) => {
        asked.push(['note', entries.length]);
        if (fails(entries.length)) throw new StoreFailedError('no room');
        return journal.note(entries);
      },
      commit: async (turns) => {
        asked.push(['commit', turns.length]);
        return journal.commit(turns);
      },
    },
    stopwatch: () => 0,
    notify: (notice) => void notices.push(notice),
    later: () => {},
  });
  const answers = (): unknown[] =>
    notices.flatMap((notice) => (notice.type === 'answer' || notice.type === 'refused' ? [notice] : []));
  return { loop, journal, asked, answers };
};
const RELEASE = { replies: [], effects: [], tookMs: 0, inputs: 1 };
const note = (...numbers: number[]) => ({ type: 'note', entries: numbers.map((n) => auditEntry(n)) }) as const;

test('notes that stand next to one another are one transaction, each answered, and nothing overtakes', async () => {
  const { loop, journal, asked, answers } = started();
  const key = { id: 'k', principal: 'op', operator: true, hash: 'ff', created_at: 1, revoked_at: null };
  loop.take({ type: 'claim', shards: [1] }, () => {});
  loop.call(1, note(1, 2));
  loop.call(2, note());
  loop.call(3, note(3));
  loop.take(
    { type: 'turn', turn: { ...turnOf(1, 1), audit: [JSON.stringify(auditEntry(4))] }, release: RELEASE },
    () => {},
  );
  loop.call(4, note(5));
  loop.call(5, { type: 'put-key', key, entry: auditEntry(6) });
  loop.call(6, note(7));
  loop.wake();
  await breathe();
  assert.equal(asked, [
    ['note', 3],
    ['commit', 1],
    ['note', 1],
    ['note', 1],
  ]);
  assert.equal(
    answers(),
    [1, 2, 3, 4, 5, 6].map((id) => ({ type: 'answer', id, value: null })),
  );
  const { items } = await journal.reads.auditRecords({ after: 0, limit: 100 });
  assert.equal(
    items.map(({ text }) => JSON.parse(text)),
    [1, 2, 3, 4, 5, 6, 7].map((n) => auditEntry(n)),
  );
});

test('notes that cannot be written are each refused, and those after them are tried', async () => {
  const { loop, journal, answers } = started((entries) => entries === 2);
  loop.call(1, note(1));
  loop.call(2, note(2));
  loop.call(3, { type: 'keys' });
  loop.call(4, note(3));
  loop.wake();
  await breathe();
  assert.equal(answers(), [
    { type: 'refused', id: 1, message: 'no room' },
    { type: 'refused', id: 2, message: 'no room' },
    { type: 'answer', id: 3, value: [] },
    { type: 'answer', id: 4, value: null },
  ]);
  assert.is((await journal.reads.verifyAudit()).records, 1);
});

test('a turn whose commit failed and is durable all the same is let out once its shard knows, one that is not never', async () => {
  const releases: string[] = [];
  const notices: string[] = [];
  let isLost = false;
  let isUnknown = false;
  const journal = createMemoryJournal({
    beforeWrite: (write) => {
      if (isLost && write === 'commit') throw new Error('the disk takes no writes');
    },
    afterWrite: (write) => {
      if (isUnknown && write === 'commit') throw new Error('the disk says nothing');
    },
  });
  const loop = createJournalLoop({
    journal,
    stopwatch: () => 0,
    notify: (notice) => {
      if (notice.type !== 'claimed') notices.push('group' in notice ? `${notice.type} ${notice.group}` : notice.type);
      if (notice.type === 'released')
        for (const { replies } of notice.releases) releases.push(...replies.map(([request]) => request));
    },
    later: () => {},
  });
  const outputs: string[] = [];
  const take = async (input: Parameters<typeof loop.take>[0]): Promise<void> => {
    loop.take(input, ({ type }) => void outputs.push(type));
    loop.wake();
    await breathe();
  };
  const turn = (epoch: number, n: number, request: string): Promise<void> =>
    take({
      type: 'turn',
      turn: turnOf(epoch, n),
      release: { replies: [[request, { ok: true, body: {} }]], effects: [], tookMs: 0, inputs: 1 },
    });
  await take({ type: 'claim', shards: [1] });
  isLost = true;
  await turn(1, 1, 'lost');
  isLost = false;
  await take({ type: 'claim', shards: [1] });
  assert.equal(releases, []);
  isUnknown = true;
  await turn(2, 1, 'unknown');
  isUnknown = false;
  assert.equal(releases, [], 'nothing is known yet');
  await take({ type: 'claim', shards: [1] });
  assert.equal(releases, ['unknown'], 'let out once, before the epoch begins');
  await turn(3, 2, 'next');
  await take({ type: 'claim', shards: [1] });
  assert.equal(releases, ['unknown', 'next']);
  assert.equal(outputs, ['claimed', 'closed', 'claimed', 'closed', 'claimed', 'claimed']);
  assert.equal(
    notices,
    ['doubtful 1', 'failed', 'recovered', 'doubtful 2', 'failed', 'recovered', 'released 3', 'released 4'],
    'what is in doubt is told at once, before any table can show it, and counted with what was let out',
  );
});

test('a refused turn of an older epoch is never let out, whatever becomes of its group', async () => {
  const releases: string[] = [];
  const doubted: string[] = [];
  let fails = false;
  const journal = createMemoryJournal({
    beforeWrite: () => {
      if (fails) throw new Error('the disk takes no writes');
    },
  });
  const loop = createJournalLoop({
    journal,
    stopwatch: () => 0,
    notify: (notice) => {
      if (notice.type === 'doubtful') doubted.push(...notice.texts);
      if (notice.type === 'released')
        for (const { replies } of notice.releases) releases.push(...replies.map(([request]) => request));
    },
    later: () => {},
  });
  const take = (input: Parameters<typeof loop.take>[0]): void => loop.take(input, () => {});
  const run = async (): Promise<void> => {
    loop.wake();
    await breathe();
  };
  const turn = (shard: number, epoch: number, n: number, request: string): void =>
    take({
      type: 'turn',
      turn: { ...turnOf(epoch, n), shard },
      release: { replies: [[request, { ok: true, body: {} }]], effects: [], tookMs: 0, inputs: 1 },
    });
  take({ type: 'claim', shards: [1, 2] });
  take({ type: 'claim', shards: [1] });
  turn(1, 2, 1, 'of the present');
  await run();
  fails = true;
  turn(1, 1, 1, 'of a zombie');
  turn(2, 1, 1, 'of a neighbour');
  await run();
  fails = false;
  take({ type: 'claim', shards: [1, 2] });
  await run();
  assert.equal(releases, ['of the present']);
  assert.equal(doubted, [turnOf(1, 1).text], 'nor is it in doubt');
});

test.run();
