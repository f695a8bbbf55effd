import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import { client, clientFailure } from '../../machines/client.ts';
import type { ClientContext } from '../../machines/client.ts';
import type { Effect } from '../../machines/effect.ts';
import { capabilityOf } from '../support/capabilities.ts';
import { createDriver } from '../support/machine.ts';

const test = suite('client');

const HASH = 'c0ffee'.repeat(10);
const open = {
  type: 'client.open',
  session_id: 'ses_1',
  client: { client_id: 'cli_1', type: 'web', name: 'Ada', principal: 'ada', token_hash: HASH, capabilities: [] },
  at: 5,
  random: 0,
};
const says = (type: string, more = {}) => ({ type, at: 6, random: 0, ...more });
const types = (effects: readonly Effect[]) =>
  effects.map((effect) =>
    effect.type === 'send' ? effect.message.type : effect.type === 'event' ? effect.event : effect.type,
  );

test('it joins, attaches, is lost, comes back and leaves, hearing of its leaving before it is cut', () => {
  const one = createDriver<ClientContext>(client);
  assert.equal(types(one.take(open)), ['client_joined']);
  assert.is(one.standing().value, 'attaching');
  assert.equal(types(one.take(says('client.attach'))), ['client.presence', 'reply']);
  assert.equal(types(one.take(says('client.detach'))), ['client_detached', 'client.presence', 'reply']);
  assert.equal(types(one.take(says('client.attach'))), ['client.presence', 'reply']);
  assert.equal(types(one.take(says('client.leave'))), ['client_left', 'cut', 'client.gone', 'reply']);
  assert.ok(one.done());
});

test('it says by which share it came, and keeps it', () => {
  const one = createDriver<ClientContext>(client);
  const [joined] = one.take({ ...open, client: { ...open.client, via_share: 'shr_1' } } as typeof open);
  assert.ok(joined?.type === 'event' && joined.data['via_share'] === 'shr_1');
  assert.is(one.standing().context.via_share, 'shr_1');
  const other = createDriver<ClientContext>(client);
  const [registered] = other.take(open);
  assert.ok(registered?.type === 'event' && !('via_share' in registered.data));
  assert.is(other.standing().context.via_share, null);
});

test('its capabilities become fewer without a word, wherever it stands; who has left is not asked', () => {
  const capabilities = [capabilityOf()];
  for (const way of [[], ['client.attach'], ['client.attach', 'client.detach']]) {
    const one = createDriver<ClientContext>(client);
    one.take(open);
    for (const type of way) one.take(says(type));
    const { value } = one.standing();
    assert.equal(one.take(says('client.narrow', { capabilities })), []);
    assert.equal([one.standing().value, one.standing().context.capabilities], [value, capabilities]);
    one.take(says('client.leave'));
    assert.equal(one.take(says('client.narrow', { capabilities: [] })), []);
    assert.equal(one.standing().context.capabilities, capabilities);
  }
});

test('where its right to be there has ended it says so, is cut, and nobody waits for an answer', () => {
  for (const way of [[], ['client.attach']]) {
    const one = createDriver<ClientContext>(client);
    one.take(open);
    for (const type of way) one.take(says(type));
    one.take(says('client.narrow', { capabilities: [capabilityOf()] }));
    assert.equal(one.take(says('client.leave', { reason: 'revoked' })), [
      { type: 'event', event: 'client_left', subject: 'cli_1', data: { client_id: 'cli_1', reason: 'revoked' } },
      { type: 'cut', client_id: 'cli_1' },
    ]);
    const { value, context } = one.standing();
    assert.equal([value, context.capabilities, context.waits, context.left_at], ['left', [], null, 6]);
  }
});

test('given up, it is cut and its session hears of it; before it was opened there is nothing to say', () => {
  const one = createDriver<ClientContext>(client);
  assert.equal(clientFailure(one.standing().context), []);
  one.take(open);
  assert.equal(types(clientFailure(one.standing().context)), ['cut', 'client.gone']);
});

test('with the end of its session it leaves in silence', () => {
  const one = createDriver<ClientContext>(client);
  one.take(open);
  assert.equal(one.take(says('client.leave', { reason: 'session_ended' })), []);
  assert.ok(one.done());
});

test('whatever is asked in whatever order is answered once, presence changes only when it changes, no hash gets out', () => {
  const ask = fc.constantFrom(
    'client.attach',
    'client.detach',
    'client.leave',
    'client.open',
    'client.narrow',
    'client.unheard_of',
    'deadline',
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(ask, fc.boolean()), { maxLength: 20 }), (history) => {
      const one = createDriver<ClientContext>(client);
      const twin = createDriver<ClientContext>(client);
      let present = false;
      for (const [index, [type, restore]] of [['client.open', false] as const, ...history].entries()) {
        if (one.done()) break;
        if (restore) twin.restore();
        const message = { ...(type === 'client.open' ? open : says(type, { capabilities: [] })), at: index };
        const effects = one.take(message);
        assert.equal(twin.take(message), effects, 'a restore changes nothing');
        const replies = effects.filter((effect) => effect.type === 'reply').length;
        assert.is(replies, ['client.attach', 'client.detach', 'client.leave'].includes(type) ? 1 : 0);
        for (const effect of effects) {
          if (effect.type !== 'send' || effect.message.type !== 'client.presence') continue;
          const { attached } = effect.message as unknown as { attached: boolean };
          assert.is.not(attached, present);
          present = attached;
        }
        assert.is(one.standing().value === 'attached', present && !one.done());
        assert.not.ok(JSON.stringify(effects).includes(HASH));
      }
    }),
    { numRuns: 200 },
  );
});

test('every state is reached', () => {
  const events = [open, says('client.attach'), says('client.detach'), says('client.leave')];
  const paths = getShortestPaths(client, {
    events: events as EventFromLogic<typeof client>[],
    serializeState: ({ value }) => value as string,
  });
  assert.equal([...new Set(paths.map(({ state }) => state.value))].toSorted(), Object.keys(client.states).toSorted());
});

test.run();
