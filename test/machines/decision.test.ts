import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OBSTACLES, OPERATIONS, RESOURCE_TYPES, firstCovering, obstacleTo } from '../../machines/capability.ts';
import type { Capability, Need } from '../../machines/capability.ts';
import { decide, rootCapability } from '../../machines/decision.ts';
import { arbitraryCapability, arbitraryNeed as arbitraryAsked, arbitraryTime } from '../support/capabilities.ts';

const test = suite('decision');

const capability = (more: Partial<Capability>): Capability => ({
  id: 'cap_1',
  resource_type: 'cli_operations',
  operations: ['read'],
  scope: ['*'],
  constraints: {},
  principal: 'ada',
  session_id: 'ses_1',
  parent_id: null,
  depth: 0,
  issued_at: '2026-01-01T00:00:00.000Z',
  ...more,
});
const need = (more: Partial<Need> = {}): Need => ({
  operation: 'read',
  resource: 'operations',
  name: 'analyze',
  ...more,
});

test('a refusal names how far the best capability came', () => {
  const reason = (held: Capability[], wanted = need()) => {
    const decision = decide(held, wanted);
    return decision.allowed ? decision.capability.id : decision.reason;
  };
  assert.is(reason([]), 'no_capability');
  assert.is(reason([capability({ resource_type: 'mcp_tool' })]), 'resource_type');
  assert.is(reason([capability({})], need({ operation: 'write' })), 'operation');
  assert.is(reason([capability({ scope: ['chat'] })]), 'scope');
  assert.is(reason([capability({ operations: ['write'] }), capability({ scope: ['chat'] })]), 'scope');
  assert.is(reason([capability({ id: 'cap_2' }), capability({ id: 'cap_1' })]), 'cap_1');
});

const arbitraryNeed = fc.record<Need>({
  operation: fc.constantFrom(...OPERATIONS),
  resource: fc.constantFrom('operations', 'mcp_tool'),
  name: fc.constantFrom(null, 'chat', 'filesystem/read'),
});

test('it decides as the algebra does, in order of id', () => {
  const held = fc.uniqueArray(
    fc.record({
      id: fc.constantFrom('cap_1', 'cap_2', 'cap_3', 'cap_4'),
      resource_type: fc.constantFrom(...RESOURCE_TYPES),
      operations: fc.subarray([...OPERATIONS]),
      scope: fc.subarray(['*', 'chat', 'filesystem/*']),
    }),
    { selector: ({ id }) => id },
  );
  fc.assert(
    fc.property(held, arbitraryNeed, (parts, wanted) => {
      const capabilities = parts.map(capability);
      const decision = decide(capabilities, wanted);
      assert.equal(decision.allowed ? decision.capability : null, firstCovering(capabilities, wanted));
    }),
  );
});

test('a refusal names the last of the reasons against each, in the order in which they are asked', () => {
  const held = fc.array(arbitraryCapability, { maxLength: 4 });
  fc.assert(
    fc.property(held, arbitraryAsked, arbitraryTime, (capabilities, wanted, at) => {
      const decision = decide(capabilities, wanted, at);
      fc.pre(!decision.allowed);
      const against = capabilities.map((one) => OBSTACLES.indexOf(obstacleTo(one, wanted, at) as never));
      assert.is(decision.allowed ? null : decision.reason, OBSTACLES[Math.max(...against)] ?? 'no_capability');
    }),
    { numRuns: 300 },
  );
});

test('the root covers everything', () => {
  const session = { session_id: 'ses_1', owner: 'ada', root_capability_id: 'cap_0', opened_at: 0 } as const;
  fc.assert(
    fc.property(arbitraryNeed, (wanted) => {
      assert.ok(decide([rootCapability(session, wanted.resource)], wanted).allowed);
    }),
  );
});

test.run();
