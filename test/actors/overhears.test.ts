import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createIdentifiers } from '../../actors/identifiers.ts';
import { shardOf } from '../../actors/placement.ts';
import type { Resident } from '../../actors/resident.ts';
import { createShard } from '../../actors/shard.ts';
import { SHARD_LIMITS } from '../../actors/shard-messages.ts';
import { createTurnTaker } from '../../actors/shard-turn.ts';
import type { Turn } from '../../actors/turn.ts';
import { addressKey, sessionAddress } from '../../machines/address.ts';
import { catalogue } from '../../machines/catalogue.ts';
import type { Message, SessionMessage } from '../../machines/message.ts';
import { newClient, newWebhook, OWNER, SESSION } from '../support/session.ts';

/** What follows from events is taken in the turn that makes them. */
const test = suite('what is overheard');

const MESSAGES = 36;
const WEBHOOKS = 20;

const createTaker = () => {
  const residents = new Map<string, Resident>();
  const newId = createIdentifiers(() => 1_000);
  const shard = createShard(shardOf(SESSION), SHARD_LIMITS);
  const taker = createTurnTaker({
    catalogue,
    limits: { ...SHARD_LIMITS, turnMessages: MESSAGES },
    clock: () => 1_000_000,
    sources: { random: () => 0.5, newEventId: () => newId('event'), newDeliveryId: () => newId('delivery') },
    residents,
    taking: () => {},
  });
  let n = 0;
  return {
    residents,
    take: (...messages: readonly SessionMessage[]): Turn =>
      taker.take(
        shard,
        messages.map((message) => ({
          kind: 'input' as const,
          sender: 'main',
          n: (n += 1),
          key: addressKey(sessionAddress(SESSION)),
          envelope: {
            to: sessionAddress(SESSION),
            message: message as Message,
            ...(message.type === 'session.open' ? { fresh: true } : {}),
            request: { id: `req_${n}` },
            meta: { principal: 'ada', client_id: null, correlation_id: null, traceparent: null },
          },
        })),
      ).turn,
  };
};

const OPEN: SessionMessage = {
  type: 'session.open',
  session_id: SESSION,
  owner: 'ada',
  ttl_ms: 1_000_000,
  root_capability_id: 'cap_root',
  client: newClient('1'),
};
const hook = (id: string): SessionMessage => ({ type: 'session.webhook', caller: OWNER, webhook: newWebhook(id) });
const register = (id: string): SessionMessage => ({ type: 'session.register', caller: OWNER, client: newClient(id) });

const delivered = ({ effects }: Turn): string[] =>
  effects.flatMap(([, effect]) =>
    effect.type === 'deliver' ? [`${effect.attempt.webhook_id} ${effect.attempt.seq}`] : [],
  );
const types = ({ eventHeads }: Turn): string[] => eventHeads.map(([, seq, type]) => `${seq} ${type}`);

test('a session that comes with a webhook is heard from its first event on', () => {
  const turn = createTaker().take({ ...OPEN, webhook: newWebhook('1') });
  assert.equal(types(turn), ['1 session_opened', '2 client_joined']);
  assert.equal(delivered(turn), ['whk_1 1', 'whk_1 2']);
  const ids = turn.effects.flatMap(([, effect]) => (effect.type === 'deliver' ? [effect.attempt.delivery_id] : []));
  assert.equal(ids, ids.toSorted(), 'in the order of seq');
  assert.is(turn.replies.length, 1);
});

test('deliveries do not count as messages of a turn, however many there are', () => {
  const { take } = createTaker();
  take(OPEN);
  for (let n = 1; n <= WEBHOOKS; n++) take(hook(`${n}`));
  for (let n = 2; n <= 12; n++) {
    const turn = take(register(`${n}`));
    assert.is(delivered(turn).length, WEBHOOKS);
  }
  const turn = take({ type: 'session.close', caller: OWNER });
  assert.equal(types(turn), ['14 session_closed']);
  assert.is(delivered(turn).length, WEBHOOKS);
  assert.equal(
    turn.replies.map(([, answer]) => answer.ok),
    [true],
  );
});

test('what follows from an event comes before what was sent after it', () => {
  const { take } = createTaker();
  take(OPEN);
  take({ type: 'session.webhook', caller: OWNER, webhook: { ...newWebhook('1'), types: ['session_closed'] } });
  assert.equal(delivered(take({ type: 'session.close', caller: OWNER })), ['whk_1 3']);
});

test('a turn that is undone has delivered nothing', () => {
  const { take, residents } = createTaker();
  take(OPEN, hook('1'));
  const before = residents.get(SESSION)?.actors.size;
  const turn = take(register('2'));
  assert.is(residents.get(SESSION)?.actors.size, (before ?? 0) + 2);
  turn.undo();
  assert.is(residents.get(SESSION)?.actors.size, before);
  assert.equal(delivered(take(register('3'))), ['whk_1 3']);
});

test.run();
