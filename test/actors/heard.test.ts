import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createHeard, readsCaughtUp } from '../../actors/heard.ts';
import type { Reads } from '../../actors/reads.ts';

const test = suite('heard');

test('who is not behind does not wait; who is waits for exactly what was let go before', async () => {
  let committed = 0;
  const heard = createHeard(() => committed);
  assert.is(heard.caughtUp(), null);
  committed = 2;
  const over: string[] = [];
  const wait = (name: string): void => void heard.caughtUp()?.then(() => over.push(name));
  wait('two');
  committed = 3;
  wait('three');
  heard.group(1);
  await Promise.resolve();
  assert.equal(over, []);
  heard.group(2);
  await Promise.resolve();
  assert.equal(over, ['two']);
  heard.group(3);
  await Promise.resolve();
  assert.equal(over, ['two', 'three']);
  assert.is(heard.caughtUp(), null);
});

test('numbers wrap at 32 bits', async () => {
  let committed = (2 ** 31 - 1) | 0;
  const heard = createHeard(() => committed);
  heard.group(2 ** 31 - 1);
  assert.is(heard.caughtUp(), null);
  committed = (2 ** 31) | 0;
  const waiting = heard.caughtUp();
  assert.ok(waiting !== null);
  heard.group(2 ** 31);
  await waiting;
});

test('a read is answered once the main thread has heard of all that it may show', async () => {
  let committed = 0;
  const heard = createHeard(() => committed);
  const actor = async (): Promise<null> => {
    // What is read was committed meanwhile.
    committed = 1;
    return null;
  };
  const reads = readsCaughtUp({ actor } as unknown as Reads, heard);
  let answered = false;
  const read = reads.actor('key').then(() => (answered = true));
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  assert.is(answered, false);
  heard.group(1);
  await read;
  assert.is(answered, true);
});

test.run();
