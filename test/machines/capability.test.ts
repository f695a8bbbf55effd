import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OBSTACLES, covering, obstacleTo } from '../../machines/capability.ts';
import { capabilitySchema } from '../../machines/capability-schema.ts';
import type { Capability, Need } from '../../machines/capability.ts';
import { decide } from '../../machines/decision.ts';
import { timestamp } from '../../machines/event.ts';
import { START, arbitraryCapability, arbitraryNeed, arbitraryTime, capabilityOf } from '../support/capabilities.ts';

const test = suite('capability');

const need = (more: Partial<Need> = {}): Need => ({
  operation: 'read',
  resource: 'operations',
  name: 'analyze',
  risk: 'low',
  ...more,
});
const bounded = (constraints: Capability['constraints']): Capability => capabilityOf({ constraints });

test('read_only leaves read and list, whatever the operations', () => {
  const reader = bounded({ read_only: true });
  const against = (operation: Need['operation']) => obstacleTo(reader, need({ operation }), START);
  assert.equal((['read', 'list', 'write', 'execute'] as const).map(against), [null, null, 'operation', 'operation']);
  assert.is(obstacleTo(bounded({ read_only: false }), need({ operation: 'write' }), START), null);
});

test('it begins with not_before and is over at expires_at', () => {
  const short = bounded({ not_before: timestamp(START), expires_at: timestamp(START + 10) });
  const at = (ms: number) => obstacleTo(short, need(), START + ms);
  assert.equal([-1, 0, 9, 10].map(at), ['time', null, null, 'time']);
});

test('a risk above max_risk is not covered; sight has none', () => {
  const careful = bounded({ max_risk: 'low' });
  const of = (risk: Need['risk']) => obstacleTo(careful, need(risk === undefined ? {} : { risk }), START);
  assert.equal((['minimal', 'low', 'medium', 'high'] as const).map(of), [null, null, 'risk', 'risk']);
  assert.is(obstacleTo(careful, need({ name: null, risk: 'high' }), START), null);
});

test('a time or a risk that is not known is outside every bound', () => {
  const { risk: _, ...unknown } = need();
  assert.is(obstacleTo(bounded({ expires_at: timestamp(START) }), need()), 'time');
  assert.is(obstacleTo(bounded({ not_before: timestamp(START) }), need()), 'time');
  assert.is(obstacleTo(bounded({ max_risk: 'high' }), unknown, START), 'risk');
  assert.is(obstacleTo(bounded({}), unknown), null);
});

test('confirmations and the limits are no reason against it', () => {
  const limited = bounded({ require_confirmations: 2, rate_limit: 1, max_operations: 1, max_concurrent: 1 });
  assert.is(obstacleTo(limited, need(), START), null);
});

test('the reasons are asked in order: mending the first shows a later one', () => {
  const worst = capabilityOf({
    resource_type: 'mcp_tool',
    operations: ['write'],
    scope: ['chat'],
    constraints: { expires_at: timestamp(START), max_risk: 'minimal' },
  });
  const steps: Partial<Capability>[] = [
    {},
    { resource_type: 'api_operations' },
    { operations: ['read'] },
    { scope: ['*'] },
    { constraints: { max_risk: 'minimal' } },
  ];
  const mended = steps.map((_, index): Capability => Object.assign({ ...worst }, ...steps.slice(0, index + 1)));
  assert.equal(
    mended.map((capability) => obstacleTo(capability, need(), START)),
    OBSTACLES,
  );
});

test('a refusal names how far the best came, in time and risk as well', () => {
  const reason = (...held: Capability[]) => {
    const decision = decide(held, need(), START);
    return decision.allowed ? decision.capability.id : decision.reason;
  };
  const over = bounded({ expires_at: timestamp(START) });
  const careful = bounded({ max_risk: 'minimal' });
  assert.is(reason(over, capabilityOf({ scope: [] })), 'time');
  assert.is(reason(careful, over), 'risk');
  assert.is(reason(over, capabilityOf({ id: 'cap_2' })), 'cap_2');
});

test('order of id decides, not the order in which they are held', () => {
  const held = fc.uniqueArray(fc.tuple(arbitraryCapability, fc.nat(9)), { selector: ([, id]) => id, maxLength: 6 });
  fc.assert(
    fc.property(held, arbitraryNeed, arbitraryTime, (parts, wanted, at) => {
      const capabilities = parts.map(([capability, id]) => ({ ...capability, id: `cap_${id}` }));
      const ids = covering(capabilities, wanted, at).map(({ id }) => id);
      const expected = capabilities.filter((one) => obstacleTo(one, wanted, at) === null).map(({ id }) => id);
      assert.equal(ids, expected.toSorted());
      const decision = decide(capabilities, wanted, at);
      assert.is(decision.allowed ? decision.capability.id : undefined, ids[0]);
    }),
  );
});

test('what is decided with a capability is decided alike after a round trip through JSON and its schema', () => {
  fc.assert(
    fc.property(arbitraryCapability, arbitraryNeed, arbitraryTime, (capability, wanted, at) => {
      const stored = capabilitySchema.parse(JSON.parse(JSON.stringify(capability)));
      assert.equal(stored, capability);
      assert.is(obstacleTo(stored, wanted, at), obstacleTo(capability, wanted, at));
    }),
  );
});

test.run();
