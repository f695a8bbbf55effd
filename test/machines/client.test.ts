import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import { client } from '../../machines/client.ts';
import type { ClientContext } from '../../machines/client.ts';
import type { Effect } from '../../machines/effect.ts';
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
        const message = { ...(type === 'client.open' ? open : says(type)), at: index };
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
