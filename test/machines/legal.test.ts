import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_GRANTS } from '../../machines/capability.ts';
import type { Capability, ClientType } from '../../machines/capability.ts';
import type { CommandFacts } from '../../machines/command.ts';
import { legalOperations } from '../../machines/legal.ts';

const test = suite('legal');

const held = (type: ClientType): Capability[] =>
  DEFAULT_GRANTS[type].map((grant, index) => ({
    ...grant,
    id: `cap_${index}`,
    principal: 'ada',
    session_id: 'ses_1',
    parent_id: null,
    depth: 1,
    issued_at: '2026-01-01T00:00:00.000Z',
  }));
const facts = (name: string, more: Partial<CommandFacts> = {}): CommandFacts => ({
  name,
  operation: 'read',
  resource: 'operations',
  risk: 'low',
  mode: 'async',
  timeout: 30,
  max_attempts: 4,
  ...more,
});
const commands = [
  facts('help'),
  facts('export'),
  facts('deploy', { operation: 'execute' }),
  facts('mcp', { operation: 'execute', resource: 'mcp_tool' }),
];

test('each type of client may run what its capabilities cover', () => {
  assert.equal(legalOperations(held('cli'), 'active', commands).commands, ['deploy', 'export', 'help', 'mcp']);
  assert.equal(legalOperations(held('web'), 'suspended', commands).commands, ['export', 'help']);
  assert.equal(legalOperations(held('api'), 'active', commands).commands, ['deploy', 'export', 'help']);
  assert.equal(legalOperations([], 'active', commands), { operations: ['clients.leave'], commands: [] });
});

test('the owner may more, a session that drains takes nothing new, one that has ended nothing at all', () => {
  const mine = legalOperations(held('web'), 'active', commands, true).operations;
  const theirs = legalOperations(held('web'), 'active', commands).operations;
  assert.equal(
    mine.filter((name) => !theirs.includes(name)),
    ['clients.register', 'sessions.close'],
  );
  const draining = legalOperations(held('cli'), 'draining', commands, true);
  assert.equal(draining.commands, []);
  assert.not.ok(draining.operations.some((name) => ['commands.execute', 'clients.register'].includes(name)));
  assert.ok(draining.operations.includes('events.list'));
  assert.equal(legalOperations(held('cli'), 'closed', commands, true), { operations: [], commands: [] });
});

test.run();
