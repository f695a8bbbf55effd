import { firstCovering } from './capability.ts';
import type { Capability, Need, Operation } from './capability.ts';
import type { CommandFacts } from './command.ts';

/** What a client may do now, as its topic `can` shows it (contract, section 3): without budgets. */
export interface Legal {
  readonly operations: readonly string[];
  /** Names of commands. */
  readonly commands: readonly string[];
}

const READS = [
  'sessions.get',
  'clients.list',
  'commands.list',
  'executions.list',
  'executions.get',
  'artifacts.get',
  'events.list',
] as const;

/** States in which a session takes new work; being suspended restricts nothing. */
const OPEN: ReadonlySet<string> = new Set(['active', 'suspended']);
const ENDED: ReadonlySet<string> = new Set(['closed', 'expired']);

/**
 * What the holder of `capabilities` may do while its session is in the state `sessionState`. `owner` where its principal
 * owns the session. Operations whose right depends on their object (cancelling what one has started) are listed where
 * such an object can exist.
 */
export const legalOperations = (
  capabilities: readonly Capability[],
  sessionState: string,
  commands: readonly CommandFacts[],
  owner = false,
): Legal => {
  if (ENDED.has(sessionState)) return { operations: [], commands: [] };
  const open = OPEN.has(sessionState);
  const may = (need: Need): boolean => firstCovering(capabilities, need) !== null;
  const mayAny = (operation: Operation): boolean => may({ operation, resource: 'operations', name: null });
  const runnable = open
    ? commands.filter(({ operation, resource, name }) => may({ operation, resource, name })).map(({ name }) => name)
    : [];
  const writes = owner || mayAny('write');
  return {
    operations: [
      ...(mayAny('read') ? READS : []),
      ...(runnable.length > 0 ? ['commands.execute'] : []),
      ...(open && runnable.includes('export') ? ['exports.create'] : []),
      ...(open && (writes || runnable.length > 0) ? ['executions.cancel'] : []),
      ...(owner && open ? ['clients.register'] : []),
      'clients.leave',
      ...(owner ? ['sessions.close'] : []),
    ].toSorted(),
    commands: runnable.toSorted(),
  };
};
