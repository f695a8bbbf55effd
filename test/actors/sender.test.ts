import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createInbox } from '../../actors/inbox.ts';
import { createSender } from '../../actors/sender.ts';
import type { Bus } from '../../brokers/bus.ts';
import { BusFullError } from '../../brokers/bus.ts';

const test = suite('sender');

const TOPICS = ['arbor/v1/actors/7/ses_a/session/a', 'arbor/v1/actors/7/ses_b/session/b'] as const;

/** A bus that carries when it is told to, and refuses what `refused` picks. */
const start = (refused: (text: string) => boolean = () => false) => {
  const underWay: string[] = [];
  const errors: unknown[] = [];
  const pushed: string[] = [];
  const inbox = createInbox({ perShard: 10, send: () => {}, onWithdrawn: () => {} });
  const publish: Bus['publish'] = (topic, payload) => {
    if (refused(String(payload))) return Promise.reject(new BusFullError());
    underWay.push(topic);
    return Promise.resolve();
  };
  const sender = createSender({
    bus: { publish } as Bus,
    inbox: { ...inbox, push: (_, __, text) => void pushed.push(text) },
    onError: (error) => void errors.push(error),
  });
  const carry = (): void => {
    for (const topic of underWay.splice(0)) sender.arrived(topic, new Uint8Array());
  };
  return { sender, carry, pushed, errors };
};

test('what the bus carries reaches the inbox in order', () => {
  const { sender, carry, pushed } = start();
  for (const [index, text] of ['1', '2', '3'].entries()) sender.send(TOPICS[index % 2] as string, text, {});
  assert.equal(pushed, []);
  carry();
  assert.equal(pushed, ['1', '2', '3']);
  sender.arrived(TOPICS[0], new Uint8Array());
  assert.is(pushed.length, 3, 'what nobody sent is not taken');
});

for (const same of [false, true])
  test(`a publication that the bus refuses is not lost and holds up none after it (${same ? 'one topic' : 'two topics'})`, async () => {
    const { sender, carry, pushed, errors } = start((text) => text === '2' || text === '3');
    for (const [index, text] of ['1', '2', '3', '4', '5'].entries())
      sender.send(TOPICS[same ? 0 : index % 2] as string, text, {});
    carry();
    await new Promise((resolve) => setImmediate(resolve));
    assert.is(errors.length, 2);
    assert.equal(pushed, ['1', '2', '3', '4', '5']);
    sender.send(TOPICS[1], '6', {});
    carry();
    assert.is(pushed.at(-1), '6');
  });

test.run();
