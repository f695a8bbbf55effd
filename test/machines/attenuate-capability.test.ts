import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attenuate, withShareDefaults } from '../../machines/attenuate.ts';
import { attenuationSchema } from '../../machines/attenuate-schema.ts';
import type { Attenuated, Attenuation } from '../../machines/attenuate.ts';
import { obstacleTo } from '../../machines/capability.ts';
import { capabilitySchema } from '../../machines/capability-schema.ts';
import type { Capability } from '../../machines/capability.ts';
import type { Constraints, ConstraintsInput } from '../../machines/constraint.ts';
import { rootCapability } from '../../machines/decision.ts';
import { MAX_DEPTH } from '../../machines/descent.ts';
import { fieldErrors } from '../../machines/error.ts';
import { timestamp } from '../../machines/event.ts';
import {
  START,
  arbitraryAttenuation,
  arbitraryCapability,
  arbitraryNarrowing,
  arbitraryNeed,
  arbitraryTime,
  capabilityOf,
  exceeds,
} from '../support/capabilities.ts';

const test = suite('attenuate');

const HOLDER = { id: 'cap_2', principal: 'share:shr_1' } as const;
const derive = (parent: Capability, asked: Attenuation = {}, at = START): Attenuated =>
  attenuate(parent, asked, HOLDER, at);
const derived = (parent: Capability, asked: Attenuation = {}, at = START): Capability => {
  const result = derive(parent, asked, at);
  if (!result.ok) throw new Error(JSON.stringify(result.problem));
  return result.capability;
};
const refusedFields = (parent: Capability, asked: Attenuation): string[] => {
  const result = derive(parent, asked);
  return result.ok ? [] : (result.problem.errors ?? []).map(({ field }) => field);
};
const later = (seconds: number): string => timestamp(START + seconds * 1_000);
/** All that it allows; not how it came to be. */
const authority = ({ resource_type, operations, scope, constraints }: Capability) => ({
  resource_type,
  operations,
  scope,
  constraints,
});

const narrowing = arbitraryCapability.chain((parent) =>
  fc.tuple(fc.constant(parent), fc.oneof(arbitraryNarrowing(parent), arbitraryAttenuation)),
);

test('whatever a derived capability allows its parent allows, on every axis', () => {
  fc.assert(
    fc.property(narrowing, arbitraryNeed, arbitraryTime, ([parent, asked], need, at) => {
      const result = derive(parent, asked);
      fc.pre(result.ok);
      const { capability } = result;
      assert.equal(exceeds(capability.constraints, parent.constraints), []);
      if (obstacleTo(capability, need, at) === null) assert.is(obstacleTo(parent, need, at), null);
      assert.is(capability.depth, parent.depth + 1);
      assert.is(capability.parent_id, parent.id);
      capabilitySchema.parse(capability);
    }),
    { numRuns: 300 },
  );
});

test('along a chain nothing exceeds any ancestor', () => {
  const asked = fc.oneof(arbitraryNarrowing({ operations: ['read', 'write'], scope: ['*'] }), arbitraryAttenuation);
  const chain = fc.array(asked, { minLength: MAX_DEPTH, maxLength: MAX_DEPTH });
  fc.assert(
    fc.property(arbitraryCapability, chain, arbitraryNeed, arbitraryTime, (root, requests, need, at) => {
      const line = [root];
      for (const request of requests) {
        const result = derive(line.at(-1) ?? root, request);
        if (result.ok) line.push(result.capability);
      }
      const last = line.at(-1) ?? root;
      for (const ancestor of line.slice(0, -1)) assert.equal(exceeds(last.constraints, ancestor.constraints), []);
      if (obstacleTo(last, need, at) === null)
        for (const ancestor of line) assert.is(obstacleTo(ancestor, need, at), null);
    }),
    { numRuns: 300 },
  );
});

test('what does not widen is granted, what does is named', () => {
  fc.assert(
    fc.property(arbitraryCapability, arbitraryAttenuation, (parent, asked) => {
      fc.pre(parent.constraints.expires_at === undefined || parent.constraints.expires_at > timestamp(START));
      const { constraints = {}, operations = [] } = asked;
      const explicit = (name: string) => constraints[name as keyof Constraints] !== undefined;
      const wider = exceeds(constraints as Constraints, parent.constraints).filter(explicit);
      const fields = refusedFields(parent, asked);
      const beyond = operations.some((operation) => !parent.operations.includes(operation));
      assert.is(fields.includes('operations'), beyond);
      const named = fields.filter((field) => field.startsWith('constraints.'));
      // Where nothing widens, what is left may be a lifetime without a moment in it.
      if (wider.length > 0) assert.equal(named.toSorted(), wider.map((name) => `constraints.${name}`).toSorted());
      else assert.ok(named.every((field) => ['constraints.expires_at', 'constraints.not_before'].includes(field)));
    }),
    { numRuns: 300 },
  );
});

test('asking again for the same changes nothing', () => {
  fc.assert(
    fc.property(narrowing, ([parent, asked]) => {
      const once = derive(parent, asked);
      fc.pre(once.ok);
      assert.equal(authority(derived(once.capability, asked)), authority(once.capability));
    }),
    { numRuns: 300 },
  );
});

test('narrowing by one and then another is narrowing by both', () => {
  const twice = arbitraryCapability.chain((parent) =>
    arbitraryNarrowing(parent).chain((one) => fc.tuple(fc.constant(parent), fc.constant(one), arbitraryNarrowing(one))),
  );
  fc.assert(
    fc.property(twice, ([parent, one, other]) => {
      const first = derive(parent, one);
      fc.pre(first.ok);
      const second = derive(first.capability, other);
      fc.pre(second.ok);
      const may_share = one.constraints?.may_share === true && other.constraints?.may_share === true;
      const both = { ...one, ...other, constraints: { ...one.constraints, ...other.constraints, may_share } };
      assert.equal(authority(derived(parent, both)), authority(second.capability));
    }),
    { numRuns: 300 },
  );
});

test('each field that would widen is named', () => {
  const constraints: Constraints = {
    rate_limit: 10,
    max_concurrent: 10,
    max_operations: 10,
    expires_at: later(600),
    not_before: later(60),
    read_only: true,
    require_webhook: true,
    require_confirmations: 2,
    max_risk: 'low',
  };
  const wider: Constraints = {
    rate_limit: 11,
    max_concurrent: 11,
    max_operations: 11,
    expires_at: later(601),
    not_before: later(59),
    read_only: false,
    require_webhook: false,
    require_confirmations: 1,
    max_risk: 'medium',
    may_share: true,
  };
  const parent = capabilityOf({ operations: ['read'], scope: ['chat', 'filesystem/*'], constraints });
  for (const [name, value] of Object.entries(wider))
    assert.equal(refusedFields(parent, { constraints: { [name]: value } }), [`constraints.${name}`]);
  const { expires_at: _, ...others } = wider;
  assert.is(refusedFields(parent, { constraints: { ...others, expires_in: 601 } }).length, 10);
  assert.equal(refusedFields(parent, { constraints: { expires_in: 601 } }), ['constraints.expires_in']);
  assert.equal(refusedFields(parent, { operations: ['read', 'write'] }), ['operations']);
  assert.equal(refusedFields(parent, { resource_type: 'mcp_tool' }), ['resource_type']);
  const scopes = ['*', 'filesystem*', 'chat*', 'cha', 'filesystem'];
  for (const pattern of scopes) assert.equal(refusedFields(parent, { scope: ['chat', pattern] }), ['scope'], pattern);
  assert.equal(refusedFields(parent, { scope: ['chat', 'filesystem/', 'filesystem/a', 'filesystem/a/*'] }), []);
  assert.equal(derived(parent).constraints, constraints);
});

test('a lifetime without a moment in it is refused', () => {
  const parent = capabilityOf({ constraints: { not_before: later(60), expires_at: later(600) } });
  assert.equal(refusedFields(parent, { constraints: { expires_at: later(60) } }), ['constraints.expires_at']);
  assert.equal(refusedFields(parent, { constraints: { not_before: later(600) } }), ['constraints.not_before']);
  assert.equal(refusedFields(capabilityOf(), { constraints: { expires_at: later(0) } }), ['constraints.expires_at']);
  assert.equal(refusedFields(parent, { constraints: { expires_in: 61 } }), []);
});

test('nothing is derived from what is over, or already as deep as may be', () => {
  const reasonOf = (result: Attenuated) => (result.ok ? null : [result.problem.status, result.problem.reason]);
  const parent = capabilityOf({ constraints: { expires_at: later(10) } });
  assert.is(reasonOf(derive(parent, {}, START + 9_999)), null);
  assert.equal(reasonOf(derive(parent, {}, START + 10_000)), [403, 'time']);
  let deepest = capabilityOf();
  for (let depth = 1; depth <= MAX_DEPTH; depth += 1) deepest = derived(deepest);
  assert.is(deepest.depth, 3);
  assert.equal(reasonOf(derive(deepest)), [403, 'depth']);
});

test('the right to share has to be held and asked for', () => {
  const session = { session_id: 'ses_1', owner: 'ada', root_capability_id: 'cap_0', opened_at: START } as const;
  const root = rootCapability(session);
  assert.is(derived(root).constraints.may_share, undefined);
  const sharing = derived(root, { constraints: { may_share: true } });
  assert.is(sharing.constraints.may_share, true);
  assert.is(derived(sharing, { constraints: { may_share: true } }).constraints.may_share, true);
  assert.equal(refusedFields(derived(root), { constraints: { may_share: true } }), ['constraints.may_share']);
});

test('an unknown constraint is refused, never ignored', () => {
  const fieldsOf = (constraints: unknown): string[] => {
    const { error } = attenuationSchema.safeParse({ constraints });
    return error === undefined ? [] : fieldErrors(error).map(({ field }) => field);
  };
  const known = new Set(Object.keys(attenuationSchema.shape.constraints.unwrap().shape));
  const unknown = fc.oneof(fc.constantFrom('__proto__', 'constructor', 'toString', 'Read_only'), fc.string());
  fc.assert(
    fc.property(unknown, fc.jsonValue(), (name, value) => {
      fc.pre(!known.has(name));
      const sent: unknown = JSON.parse(`{"max_operations":1,${JSON.stringify(name)}:${JSON.stringify(value)}}`);
      assert.equal(fieldsOf(sent), [`constraints.${name}`]);
    }),
  );
  assert.not(capabilitySchema.safeParse({ ...capabilityOf(), constraints: { write_only: true } }).success);
  assert.equal(fieldsOf({ max_operations: 1 }), []);
  assert.equal(fieldsOf({ expires_in: 1, expires_at: later(1) }), ['constraints.expires_in']);
  for (const value of [0, -1, 1.5, '1', null, Number.MAX_VALUE])
    assert.equal(fieldsOf({ rate_limit: value }), ['constraints.rate_limit']);
});

test('a derived scope covers no name that the parent does not, even of patterns that no schema has seen', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 4 });
  const covers = (scope: string[], name: string) =>
    obstacleTo(capabilityOf({ scope }), { operation: 'read', resource: 'operations', name }) === null;
  fc.assert(
    fc.property(fc.array(text, { maxLength: 3 }), text, text, (outer, inner, name) => {
      if (derive(capabilityOf({ scope: outer }), { scope: [inner] }).ok && covers([inner], name))
        assert.ok(covers(outer, name));
    }),
    { numRuns: 2_000 },
  );
});

test('a scope has patterns whose only star is the last character', () => {
  const accepts = (pattern: string) => attenuationSchema.safeParse({ scope: [pattern] }).success;
  assert.ok(['*', 'chat', 'filesystem/*', 'a*'].every(accepts));
  assert.not(['', '**', '*a', 'a*b', 'a**'].some(accepts));
});

test('times are kept in UTC with milliseconds, however they are given', () => {
  const kept = (constraints: ConstraintsInput) =>
    derived(capabilityOf(), attenuationSchema.parse({ constraints })).constraints;
  assert.equal(kept({ expires_in: 60 }), { expires_at: '2026-01-01T00:01:00.000Z' });
  assert.equal(kept({ expires_at: '2026-01-01T00:01:00Z', not_before: '2026-01-01T00:00:30.5Z' }), {
    expires_at: '2026-01-01T00:01:00.000Z',
    not_before: '2026-01-01T00:00:30.500Z',
  });
});

test('a share has its defaults where it says nothing, within its parent', () => {
  const share = (parent: Capability, constraints: Constraints = {}) =>
    derived(parent, withShareDefaults(parent, { constraints }, START)).constraints;
  assert.equal(share(capabilityOf()), { max_operations: 100, expires_at: later(86_400) });
  assert.equal(share(capabilityOf(), { max_operations: 500, expires_at: later(1), read_only: true }), {
    max_operations: 500,
    expires_at: later(1),
    read_only: true,
  });
  assert.equal(share(capabilityOf(), { not_before: later(90_000) }), {
    max_operations: 100,
    not_before: later(90_000),
    expires_at: later(90_000 + 86_400),
  });
  const narrow: Constraints = { max_operations: 5, expires_at: later(60), read_only: true };
  assert.equal(share(capabilityOf({ constraints: narrow })), narrow);
  fc.assert(
    fc.property(arbitraryCapability, (parent) => {
      const { not_before, expires_at } = parent.constraints;
      fc.pre(expires_at === undefined || expires_at > (not_before ?? ''));
      fc.pre(expires_at === undefined || expires_at > timestamp(START));
      assert.ok(derive(parent, withShareDefaults(parent, {}, START)).ok);
    }),
  );
});

test.run();
