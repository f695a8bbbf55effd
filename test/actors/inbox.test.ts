import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createInbox, MAIN_SENDER } from '../../actors/inbox.ts';
import type { Claim } from '../../actors/journal.ts';
import type { Input } from '../../actors/shard-messages.ts';

const test = suite('inbox');

const start = (perShard = 10) => {
  const sent: Input[] = [];
  const withdrawn: string[] = [];
  const inbox = createInbox({
    perShard,
    send: (_, input) => void sent.push(input),
    onWithdrawn: (text) => void withdrawn.push(text),
  });
  return { inbox, sent, withdrawn, take: () => sent.splice(0).map(([, epoch, , n, , text]) => [epoch, n, text]) };
};
const claim = (epoch: number, read: number): Claim => ({
  shard: 7,
  epoch,
  turn: 0,
  read: read === 0 ? {} : { [MAIN_SENDER]: read },
  sent: {},
  waits: [],
  senders: [],
});

test('what comes before the first claim waits for it; numbers go on where the journal stands', () => {
  const { inbox, take } = start();
  inbox.push(7, 'k', 'a');
  assert.equal(take(), []);
  inbox.claimed(claim(4, 41));
  inbox.push(7, 'k', 'b');
  assert.equal(take(), [
    [4, 42, 'a'],
    [4, 43, 'b'],
  ]);
});

test('a new epoch is sent what was not read, and only that', () => {
  const { inbox, take } = start();
  inbox.claimed(claim(1, 0));
  let read = 0;
  for (const text of ['a', 'b', 'c']) inbox.push(7, 'k', text, { onRead: () => void (read += 1) });
  inbox.read(7, 1);
  assert.is(read, 1);
  take();
  // The journal knows of one more than the main thread has heard.
  inbox.claimed(claim(2, 2));
  assert.is(read, 2);
  assert.equal(take(), [[2, 3, 'c']]);
  inbox.resend(7, 1);
  assert.equal(take(), []);
  inbox.resend(7, 2);
  assert.equal(take(), [[2, 3, 'c']]);
});

test('a message that has ended its worker twice is withdrawn', () => {
  const { inbox, withdrawn, take } = start();
  inbox.claimed(claim(1, 0));
  inbox.push(7, 'k', 'poison');
  inbox.push(7, 'k', 'b');
  inbox.died(7, 1);
  assert.equal(withdrawn, []);
  inbox.died(7, 1);
  assert.equal(withdrawn, ['poison']);
  take();
  inbox.claimed(claim(2, 0));
  assert.equal(take(), [
    [2, 1, ''],
    [2, 2, 'b'],
  ]);
});

test('room is bounded for each shard, and half of it for each session', () => {
  const { inbox } = start(4);
  inbox.claimed(claim(1, 0));
  const rooms = () => ['ses_a', 'ses_b', 'ses_c'].map((session) => inbox.hasRoom(7, session));
  inbox.push(7, 'ses_a/session/ses_a', 'a');
  assert.equal(rooms(), [true, true, true]);
  inbox.push(7, 'ses_a/execution/exe_1', 'b');
  assert.equal(rooms(), [false, true, true], 'a flood of one leaves room for the others');
  assert.ok(inbox.hasRoom(8, 'ses_a'));
  // Reports come whether there is room or not.
  inbox.push(7, 'ses_a/execution/exe_1', 'c');
  inbox.push(7, 'ses_b/session/ses_b', 'd');
  assert.equal(rooms(), [false, false, false]);
  inbox.read(7, 1);
  assert.equal(rooms(), [false, true, true]);
  inbox.read(7, 2);
  assert.equal(rooms(), [true, true, true]);
  inbox.claimed(claim(2, 4));
  assert.is(inbox.depth(), 0);
  for (let n = 0; n < 2; n++) inbox.push(7, 'ses_b/session/ses_b', 'e');
  assert.equal(rooms(), [true, false, true]);
});

test('what is withdrawn takes no room of its session any more, and keeps its number', () => {
  const inbox = createInbox({ perShard: 4, send: () => {}, onWithdrawn: () => {} });
  const key = 'ses_a/session/ses_a';
  inbox.push(0, key, 'one');
  inbox.push(0, key, 'two');
  assert.is(inbox.hasRoom(0, 'ses_a'), false);
  inbox.withdraw((text) => text === 'two');
  assert.is(inbox.hasRoom(0, 'ses_a'), true);
  inbox.push(0, key, 'three');
  assert.is(inbox.hasRoom(0, 'ses_a'), false);
  inbox.claimed({ shard: 0, epoch: 1, turn: 0, read: { main: 0 }, sent: {}, waits: [], senders: [] });
  inbox.read(0, 2);
  assert.is(inbox.depth(), 1);
  assert.is(inbox.hasRoom(0, 'ses_a'), true);
  inbox.read(0, 3);
  assert.is(inbox.depth(), 0);
});

test.run();
