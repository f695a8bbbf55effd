import { z } from 'zod';
import { problemSchema } from '../../machines/error-schema.ts';
import { idSchema } from '../../machines/id-schema.ts';
import { defineOperation } from './operation.ts';
import { PAGE_QUERY, pageFields, pageOf } from './page.ts';

/** Longest wait of one call in seconds. */
export const MAX_WAIT = 60;

export const waitSchema = z
  .number('a number of seconds')
  .min(0, 'seconds, from 0')
  .max(MAX_WAIT, `seconds, up to ${MAX_WAIT}`);

export const executionStatusSchema = z.enum([
  'queued',
  'awaiting_confirmation',
  'running',
  'waiting',
  'retrying',
  'completed',
  'failed',
  'cancelled',
  'timed_out',
]);
export type ExecutionStatus = z.infer<typeof executionStatusSchema>;

const artifactSchema = z
  .object({ name: z.string(), bytes: z.int(), sha256: z.string(), media_type: z.string() })
  .meta({ id: 'Artifact' });

export const executionSchema = z
  .object({
    execution_id: z.string(),
    session_id: z.string(),
    status: executionStatusSchema,
    command: z.string(),
    args: z.unknown(),
    /** 0 to 100. */
    progress: z.number(),
    /** 1 with the first run, one more with each retry; waking from a sleep is none. */
    attempts: z.int().nonnegative(),
    started_by: z.object({ principal: z.string(), client_id: z.string().nullable() }),
    created_at: z.iso.datetime({ precision: 3 }),
    ended_at: z.iso.datetime({ precision: 3 }).nullable(),
    artifacts: z.array(artifactSchema),
    /** Where completed and no larger than 16 KiB. */
    result: z.unknown().optional(),
    /** Where completed and larger. */
    result_url: z.string().optional(),
    /** Where ended in another way. */
    error: problemSchema.optional(),
  })
  .meta({ id: 'Execution' });
export type Execution = z.infer<typeof executionSchema>;

export const executionsGet = defineOperation({
  name: 'executions.get',
  summary: 'Shows an execution; with `wait`, as soon as it has ended',
  input: z.strictObject({ execution_id: idSchema('execution'), wait: waitSchema.optional() }),
  output: executionSchema,
  sight: 'execution',
  right: 'read',
  http: {
    method: 'GET',
    path: '/v1/executions/{execution_id}',
    query: { wait: 'number' },
    prefer: true,
    answers: { 200: executionSchema },
  },
  errors: ['security_violation', 'not_found'],
});

const executionPageSchema = pageOf(executionSchema);

export const executionsList = defineOperation({
  name: 'executions.list',
  summary: 'Lists the executions of a session in order of id',
  input: z.strictObject({ session_id: idSchema('session'), ...pageFields }),
  output: executionPageSchema,
  sight: 'session',
  right: 'read',
  http: {
    method: 'GET',
    path: '/v1/sessions/{session_id}/executions',
    query: PAGE_QUERY,
    answers: { 200: executionPageSchema },
  },
  errors: ['security_violation', 'not_found'],
});

const executionCancelledSchema = z.object({ execution_id: z.string(), status: executionStatusSchema });

export const executionsCancel = defineOperation({
  name: 'executions.cancel',
  summary: 'Cancels an execution, by signal first',
  input: z.strictObject({ execution_id: idSchema('execution') }),
  output: executionCancelledSchema,
  sight: 'execution',
  right: 'write_or_starter',
  http: {
    method: 'DELETE',
    path: '/v1/executions/{execution_id}',
    answers: { 200: executionCancelledSchema },
  },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});

const bytesSchema = z.custom<Uint8Array>((value) => value instanceof Uint8Array);

export const artifactsGet = defineOperation({
  name: 'artifacts.get',
  summary: 'The bytes of an artifact, or a range of them; its ETag is the SHA-256',
  input: z.strictObject({
    execution_id: idSchema('execution'),
    name: z.string().min(1, 'the name of an artifact').max(128, 'the name of an artifact'),
  }),
  output: bytesSchema,
  sight: 'execution',
  right: 'read',
  bindings: ['http'],
  http: {
    method: 'GET',
    path: '/v1/executions/{execution_id}/artifacts/{name}',
    answers: { 200: bytesSchema, 206: bytesSchema },
    binary: true,
  },
  errors: ['security_violation', 'not_found', 'range_not_satisfiable'],
});
