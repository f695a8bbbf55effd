import { z } from 'zod';
import { AUDIT_TYPES } from '../../machines/audit.ts';
import { defineOperation } from './operation.ts';

const auditRecordSchema = z
  .object({
    /** Dense from 1. */
    n: z.int().positive(),
    type: z.enum([...AUDIT_TYPES, 'unreadable']),
    timestamp: z.iso.datetime({ precision: 3 }),
    session_id: z.string().nullable(),
    principal: z.string().nullable(),
    client_id: z.string().nullable(),
    data: z.record(z.string(), z.unknown()),
    mac: z.string().meta({ description: 'HMAC-SHA-256 over the record and the `mac` before it, hexadecimal' }),
  })
  .meta({ id: 'AuditRecord' });
export type AuditRecord = z.infer<typeof auditRecordSchema>;

const auditPageSchema = z.object({ items: z.array(auditRecordSchema), next: z.int().nullable() });

export const auditList = defineOperation({
  name: 'audit.list',
  summary: 'Lists the records of the audit in their order',
  input: z.strictObject({
    after: z.int('a whole number').min(0, 'a number, from 0').default(0),
    limit: z.int('a whole number').min(1, 'a number from 1').max(1000, 'a number up to 1000').default(100),
  }),
  output: auditPageSchema,
  sight: 'none',
  right: 'operator',
  // Operators publish nothing over MQTT (contract, section 3).
  bindings: ['http'],
  http: {
    method: 'GET',
    path: '/v1/audit',
    query: { after: 'number', limit: 'number' },
    answers: { 200: auditPageSchema },
  },
  errors: ['security_violation'],
});

/** A head as it is exported: the number of the last record and its `mac`. */
const HEAD = /^\d{1,15}:[0-9a-f]{64}$/;

const auditVerdictSchema = z
  .object({
    valid: z.boolean(),
    /** How many there are. */
    records: z.int().nonnegative(),
    first: z.int().positive().optional().meta({ description: 'The first record left, where older ones were pruned' }),
    head: z.string().meta({ description: '`n:mac` of the last record; kept elsewhere it shows a tail that was cut' }),
    /** The first record that is changed or missing. */
    first_bad: z.int().positive().optional(),
  })
  .meta({ id: 'AuditVerdict' });
export type AuditVerdict = z.infer<typeof auditVerdictSchema>;

export const auditVerify = defineOperation({
  name: 'audit.verify',
  summary:
    'Checks the chain of the audit from its first record or checkpoint, and against an exported head where one is given',
  input: z.strictObject({ head: z.string().regex(HEAD, 'a head: n:mac').optional() }),
  output: auditVerdictSchema,
  sight: 'none',
  right: 'operator',
  bindings: ['http'],
  http: { method: 'GET', path: '/v1/audit/verify', query: { head: 'text' }, answers: { 200: auditVerdictSchema } },
  errors: ['security_violation'],
});
