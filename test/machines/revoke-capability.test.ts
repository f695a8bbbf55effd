import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Capability } from '../../machines/capability.ts';
import { MAX_DEPTH, lineage, revoke } from '../../machines/descent.ts';
import { capabilityOf } from '../support/capabilities.ts';

const test = suite('descent');

const find = (all: readonly Capability[]) => (id: string) => all.find((capability) => capability.id === id);

/** A session's capabilities below its root `cap_0`, each at most `MAX_DEPTH` from it, in any order. */
const family = fc
  .array(fc.nat(), { minLength: 1, maxLength: 12 })
  .map((choices) => {
    const all = [capabilityOf({ id: 'cap_0' })];
    for (const choice of choices) {
      const parents = all.filter(({ depth }) => depth < MAX_DEPTH);
      const { id: parent_id, depth } = parents[choice % parents.length] ?? capabilityOf();
      all.push(capabilityOf({ id: `cap_${all.length}`, parent_id, depth: depth + 1 }));
    }
    return all;
  })
  .chain((all) => fc.shuffledSubarray(all, { minLength: all.length }));

test('revoking one ends it and all that descend from it, and nothing else', () => {
  fc.assert(
    fc.property(family, fc.nat(), (all, choice) => {
      const { id } = all[choice % all.length] ?? capabilityOf();
      const descends = (capability: Capability): boolean =>
        lineage(capability, find(all))?.some((ancestor) => ancestor.id === id) === true;
      const { kept, revoked } = revoke(all, id);
      assert.equal(revoked, all.filter(descends));
      assert.equal(
        kept,
        all.filter((capability) => !descends(capability)),
      );
      for (const capability of kept) assert.is.not(lineage(capability, find(kept)), null);
    }),
  );
});

test('revoking a root that is not among them ends every one', () => {
  fc.assert(
    fc.property(family, (all) => {
      const below = all.filter(({ parent_id }) => parent_id !== null);
      assert.equal(revoke(below, 'cap_0'), { kept: [], revoked: below });
      assert.equal(revoke(below, 'cap_99'), { kept: below, revoked: [] });
    }),
  );
});

test('without an ancestor there is no lineage, nor in a circle', () => {
  const root = capabilityOf({ id: 'cap_0' });
  const child = capabilityOf({ id: 'cap_1', parent_id: 'cap_0', depth: 1 });
  const share = capabilityOf({ id: 'cap_2', parent_id: 'cap_1', depth: 2 });
  assert.equal(lineage(share, find([root, child, share])), [share, child, root]);
  assert.is(lineage(share, find([root, share])), null);
  assert.is(lineage(share, find([child, share])), null);
  const circle = [capabilityOf({ id: 'cap_1', parent_id: 'cap_2' }), share];
  assert.is(lineage(share, find(circle)), null);
});

test.run();
