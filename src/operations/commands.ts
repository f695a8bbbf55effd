import { z } from 'zod';
import { OPERATIONS, RISKS } from '../../machines/capability.ts';
import { problemSchema } from '../../machines/error-schema.ts';
import { idSchema } from '../../machines/id-schema.ts';
import { executionStatusSchema, waitSchema } from './executions.ts';
import { defineOperation } from './operation.ts';
import { pageOf } from './page.ts';
import { newWebhookSchema, webhookUrlSchema } from './webhooks.ts';

/** Longest time an execution may be given, in seconds. */
const MAX_TIMEOUT = 7 * 24 * 3600;

const modeSchema = z.enum(['sync', 'async']);

export const commandSchema = z
  .object({
    name: z.string(),
    summary: z.string(),
    operation: z.enum(OPERATIONS),
    resource: z.enum(['operations', 'mcp_tool']),
    risk: z.enum(RISKS),
    mode: modeSchema,
    /** Seconds from acceptance. */
    timeout: z.number(),
    /** Confirmations that it needs before it starts, besides those that a capability demands; 0 for none. */
    confirmations: z.int(),
    args_schema: z.record(z.string(), z.unknown()).meta({ description: 'JSON Schema of the arguments' }),
    result_schema: z.record(z.string(), z.unknown()).meta({ description: 'JSON Schema of the result' }),
  })
  .meta({ id: 'Command' });
export type CommandDescription = z.infer<typeof commandSchema>;

const commandPageSchema = pageOf(commandSchema);

export const commandsList = defineOperation({
  name: 'commands.list',
  summary: 'Lists the commands that the caller may run here',
  input: z.strictObject({ session_id: idSchema('session') }),
  output: commandPageSchema,
  sight: 'session',
  right: 'read',
  http: { method: 'GET', path: '/v1/sessions/{session_id}/commands', answers: { 200: commandPageSchema } },
  errors: ['security_violation', 'not_found'],
});

/** The execution ended inside the wait, in whatever way. */
const endedSchema = z
  .object({
    execution_id: z.string(),
    status: executionStatusSchema.extract(['completed', 'failed', 'cancelled', 'timed_out']),
    mode: z.literal('sync'),
    result: z.unknown().optional(),
    result_url: z.string().optional(),
    error: problemSchema.optional(),
    webhook: newWebhookSchema.optional(),
  })
  .meta({ id: 'ExecutionEnded' });

/** The execution is accepted, which is durable, and goes on. */
const pendingSchema = z
  .object({
    execution_id: z.string(),
    status: z.literal('pending'),
    mode: z.literal('async'),
    poll_url: z.string(),
    /** The question that has to be confirmed before it starts. */
    coordination_id: z.string().optional(),
    webhook: newWebhookSchema.optional(),
  })
  .meta({ id: 'ExecutionPending' });

/** What would be accepted; nothing was. */
const dryRunSchema = z
  .object({
    dry_run: z.literal(true),
    command: z.string(),
    /** As the command would get them, defaults filled in. */
    args: z.unknown(),
    mode: modeSchema,
    risk: z.enum(RISKS),
    timeout: z.number(),
    capability_id: z.string(),
    /** Confirmations that it would need before it starts; 0 for none. */
    confirmations: z.int(),
  })
  .meta({ id: 'ExecutionDryRun' });

export const commandsExecute = defineOperation({
  name: 'commands.execute',
  summary: 'Runs a command; accepted means on disk',
  input: z.strictObject({
    session_id: idSchema('session'),
    command: z.string('the name of a command').min(1, 'the name of a command').max(64, 'the name of a command'),
    args: z.record(z.string(), z.unknown(), { error: 'an object' }).default({}),
    idempotency_key: z.string().min(1, '1 to 255 characters').max(255, '1 to 255 characters').optional(),
    /** Hears of this execution alone, and ends with it; needs `write`. */
    webhook_url: webhookUrlSchema.optional(),
    timeout: z
      .number('a number of seconds')
      .positive('seconds, above 0')
      .max(MAX_TIMEOUT, `seconds, up to ${MAX_TIMEOUT}`)
      .optional(),
    /** Higher runs first. */
    priority: z.int('a whole number').min(-100, 'from -100 to 100').max(100, 'from -100 to 100').default(0),
    /** Seconds; 0 does not wait. A sync command waits 30 by default, an async one not at all. */
    wait: waitSchema.optional(),
    /** Checks everything and changes nothing. */
    dry_run: z.boolean('true or false').default(false),
  }),
  output: z.union([endedSchema, pendingSchema, dryRunSchema]),
  sight: 'session',
  right: 'command',
  http: {
    method: 'POST',
    path: '/v1/sessions/{session_id}/commands',
    query: { dry_run: 'boolean' },
    prefer: true,
    answers: { 200: z.union([endedSchema, dryRunSchema]), 202: pendingSchema },
    location: ({ poll_url }) => (typeof poll_url === 'string' ? poll_url : null),
    status: (output) => (output['status'] === 'pending' ? 202 : 200),
  },
  errors: [
    'security_violation',
    'not_found',
    'unknown_command',
    'conflict',
    'too_large',
    'webhook_required',
    'address_refused',
    'not_configured',
    'read_only',
  ],
});
