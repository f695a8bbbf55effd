import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createJournalClient } from '../../actors/journal-client.ts';
import { temporaryDirectory, until } from '../support/ring.ts';

const test = suite('journal client');

const settled = async (what: string, promise: Promise<unknown>): Promise<void> => {
  let over = false;
  void Promise.allSettled([promise]).then(() => (over = true));
  await until(what, () => over, 5_000);
};

test('a thread that ends by itself is reported, calls are refused, and closing it comes to an end', async () => {
  const { directory, remove } = await temporaryDirectory();
  const exits: Error[] = [];
  const client = await createJournalClient({
    directory,
    onNotice: () => {},
    onExit: (error) => void exits.push(error),
  });
  // Nothing that any worker sends; it stands for whatever ends the thread.
  client.connect().postMessage(null);
  await until('the thread has ended', () => exits.length > 0);
  await settled('a call is refused', client.keys.list());
  await assertRefused(client.keys.list());
  await settled('the end of the client', client.close());
  await remove();
});

test('closing twice closes once', async () => {
  const { directory, remove } = await temporaryDirectory();
  const client = await createJournalClient({ directory, onNotice: () => {}, onExit: () => {} });
  await Promise.all([client.close(), client.close()]);
  await settled('a third', client.close());
  await remove();
});

const assertRefused = async (promise: Promise<unknown>): Promise<void> => {
  const refused = await promise.then(
    () => null,
    (error: { code?: string }) => error.code,
  );
  assert.is(refused, 'ERR_STORE_FAILED');
};

test.run();
