import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDoubts, withoutDoubtful } from '../../actors/doubts.ts';
import type { SessionId } from '../../machines/id.ts';
import type { EventPage, Reads } from '../../actors/reads.ts';
import { encodeTurn } from '../../actors/turn-record.ts';

const test = suite('doubts');

const turnOf = (shard: number, events: readonly (readonly [session: string, seq: number])[]): string =>
  encodeTurn({
    head: {
      shard,
      epoch: 1,
      turn: 1,
      at: 1,
      read: {},
      snapshots: [],
      events: events.map(([session, seq]) => [session, seq, 'client_joined', 'cli_1']),
      out: [],
      remembered: [],
    },
    contexts: [],
    events: events.map(() => '{}'),
    out: [],
    remembered: [],
  });
const pageOf = (seqs: readonly number[], next: number | null, last = 6): EventPage => ({
  events: seqs.map((seq) => JSON.stringify({ seq })),
  next,
  first: 1,
  last,
});
test('a page ends before the first event in doubt, as if nothing followed', async () => {
  let page = pageOf([], null);
  const doubts = createDoubts();
  const reads = withoutDoubtful({ events: async () => page } as unknown as Reads, doubts);
  const read = (session = 'ses_a'): Promise<EventPage> => reads.events(session as SessionId, { after: 0, limit: 10 });
  doubts.add([`${turnOf(3, [['ses_a', 5]])}\n${turnOf(3, [['ses_a', 6]])}`]);
  page = pageOf([1, 2, 3, 4, 5, 6], null);
  assert.equal(await read(), pageOf([1, 2, 3, 4], null, 4));
  assert.equal(await read('ses_b'), page, 'another session is not touched');
  page = pageOf([1, 2, 3], 3);
  assert.equal(await read(), pageOf([1, 2, 3], 3, 4), 'what is before it is a page like any other');
  page = pageOf([2, 4], 4);
  assert.equal(await read(), pageOf([2, 4], null, 4), 'what follows is not there yet');
  page = pageOf([2, 6], 6);
  assert.equal(await read(), pageOf([2], null, 4));
  page = pageOf([5, 6], null);
  assert.equal(await read(), pageOf([], null, 4));
  page = pageOf([1, 2], null, 2);
  assert.equal(await read(), page, 'where the tables do not have it, nothing is promised of it');
});

test('what is let out is read at once, and what follows it when it is let out', () => {
  const doubts = createDoubts();
  doubts.add([
    turnOf(3, [
      ['ses_a', 5],
      ['ses_a', 6],
    ]),
  ]);
  doubts.released('ses_b', 9);
  doubts.released('ses_a', 5);
  assert.equal([doubts.firstOf('ses_a'), doubts.firstOf('ses_b')], [6, undefined]);
  doubts.released('ses_a', 6);
  assert.is(doubts.firstOf('ses_a'), 7);
});

test('it ends with the next claim of its shard, and of no other', () => {
  const doubts = createDoubts();
  doubts.add([turnOf(3, [['ses_a', 5]]), turnOf(4, [['ses_b', 2]])]);
  doubts.claimed(4);
  assert.equal([doubts.firstOf('ses_a'), doubts.firstOf('ses_b')], [5, undefined]);
  doubts.claimed(3);
  assert.is(doubts.firstOf('ses_a'), undefined);
});

test.run();
