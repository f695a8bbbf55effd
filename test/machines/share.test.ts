import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import type { Effect } from '../../machines/effect.ts';
import { share } from '../../machines/share.ts';
import type { ShareContext } from '../../machines/share.ts';
import { capabilityOf } from '../support/capabilities.ts';
import { createDriver } from '../support/machine.ts';

const test = suite('share');

const HASH = 'decade'.repeat(10);
const issuer = { principal: 'ada', client_id: 'cli_1' } as const;
const capability = capabilityOf({ id: 'cap_2', principal: 'share:shr_1', parent_id: 'cap_1', depth: 1 });
const open = {
  type: 'share.open',
  session_id: 'ses_1',
  share: { share_id: 'shr_1', capability_id: 'cap_2', token_hash: HASH, label: 'for Bob', asked: {} },
  capability,
  issuer,
  at: 5,
  random: 0,
};
const end = (reason: string) => ({ type: 'share.end', reason, at: 6, random: 0 });
const opened = () => {
  const one = createDriver<ShareContext>(share);
  return { one, effects: one.take(open) };
};
const ended = (reason: string) => {
  const { one } = opened();
  const effects = one.take(end(reason));
  return { value: one.standing().value, at: one.standing().context.ended_at, done: one.done(), effects };
};
const revoked = (reason: string): Effect => ({
  type: 'event',
  event: 'share_revoked',
  subject: 'shr_1',
  data: { share_id: 'shr_1', capability_id: 'cap_2', reason },
});

test('it says what it lets others do and who made it, and keeps the hash to itself', () => {
  const { one, effects } = opened();
  const data = { share_id: 'shr_1', label: 'for Bob', capability, created_by: issuer };
  assert.equal(effects, [{ type: 'event', event: 'share_created', subject: 'shr_1', data }]);
  const { value, context } = one.standing();
  assert.is(value, 'live');
  assert.is(context.token_hash, HASH);
  assert.equal([context.title, context.created_at, context.ended_at], ['for Bob', 5, null]);
});

test('it ends revoked or expired and says which; with its session it ends in silence', () => {
  assert.equal(ended('revoked'), { value: 'revoked', at: 6, done: true, effects: [revoked('revoked')] });
  assert.equal(ended('expired'), { value: 'expired', at: 6, done: true, effects: [revoked('expired')] });
  assert.equal(ended('session_ended'), { value: 'revoked', at: 6, done: true, effects: [] });
});

test('whatever comes in whatever order: it is created once and ends once, asks for nothing, and no hash gets out', () => {
  const message = fc.constantFrom(
    open,
    end('revoked'),
    end('expired'),
    end('session_ended'),
    { type: 'deadline', at: 7, random: 0 },
    { type: 'share.unheard_of', at: 7, random: 0 },
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(message, fc.boolean()), { maxLength: 8 }), (history) => {
      const one = createDriver<ShareContext>(share);
      const twin = createDriver<ShareContext>(share);
      const said: string[] = [];
      for (const [taken, restore] of history) {
        const wasDone = one.done();
        if (restore && !wasDone) twin.restore();
        const effects = one.take(taken);
        assert.equal(twin.take(taken), effects, 'a restore changes nothing');
        if (wasDone) assert.equal(effects, [], 'nothing after the end');
        for (const effect of effects) {
          if (effect.type !== 'event') throw new Error(`${effect.type} is nothing a share has to do with`);
          said.push(effect.event);
        }
        assert.not.ok(JSON.stringify(effects).includes(HASH));
        const { deadline, waits, ended_at } = one.standing().context;
        assert.equal([deadline, waits, ended_at === null], [null, null, !one.done()]);
      }
      assert.ok(['', 'share_created', 'share_created,share_revoked'].includes(said.join()), said.join());
    }),
  );
});

test('every state is reached', () => {
  const paths = getShortestPaths(share, {
    events: [open, end('revoked'), end('expired')] as unknown as EventFromLogic<typeof share>[],
    serializeState: ({ value }) => value as string,
  });
  assert.equal([...new Set(paths.map(({ state }) => state.value))].toSorted(), Object.keys(share.states).toSorted());
});

test.run();
