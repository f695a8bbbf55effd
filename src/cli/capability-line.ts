import type { Capability } from '../../machines/capability.ts';

const LIMITS = {
  read_only: () => 'read only',
  max_operations: (count) => `${count} operations in all`,
  rate_limit: (count) => `${count} an hour`,
  max_concurrent: (count) => `${count} at once`,
  max_risk: (risk) => `up to ${risk} risk`,
  require_webhook: () => 'with a webhook',
  require_confirmations: (count) => `${count} confirmations for each`,
  may_share: () => 'may share on',
  not_before: (time) => `from ${time}`,
} as const satisfies Partial<Record<keyof Capability['constraints'], (value: string) => string>>;

/** What a capability allows, on one line; `expires_at` is left out. */
export const capabilityLine = ({ operations, scope, constraints }: Omit<Capability, 'id'>): string => {
  const commands = scope.includes('*') ? 'every command' : scope.join(', ') || 'no command';
  const limits = Object.entries(LIMITS).flatMap(([name, say]) => {
    const value = constraints[name as keyof typeof LIMITS];
    return value === undefined || value === false ? [] : [say(String(value))];
  });
  return [`${operations.join(', ')} on ${commands}`, ...limits].join('; ');
};
