import { z } from 'zod';
import type { Command } from '../../machines/command.ts';
import type { CommandDescription } from '../operations/commands.ts';

/** What the outside is told of a command: its facts, and its schemas as JSON Schema (draft 2020-12). */
export const describeCommand = ({ facts, summary, args, result }: Command): CommandDescription => {
  const { name, operation, resource, risk, mode, timeout } = facts;
  const schemaOf = (type: z.ZodType, io: 'input' | 'output') =>
    z.toJSONSchema(type, { io, unrepresentable: 'any' }) as Record<string, unknown>;
  return {
    name,
    summary,
    operation,
    resource,
    risk,
    mode,
    timeout,
    confirmations: facts.confirmations?.required_confirmations ?? 0,
    args_schema: schemaOf(args, 'input'),
    result_schema: schemaOf(result, 'output'),
  };
};
