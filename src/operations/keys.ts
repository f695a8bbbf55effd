import { z } from 'zod';
import { defineOperation } from './operation.ts';
import { pageOf } from './page.ts';

/** Names of principals; `jwt:` and `share:` are those of others. */
const principalSchema = z
  .string()
  .regex(
    /^(?!(?:jwt|share|op):)[A-Za-z0-9][A-Za-z0-9._@+:-]{0,99}$/,
    'a name of letters, digits and ._@+:-, at most 100',
  );

const keyIdSchema = z.string().regex(/^ark_[0-9a-f]{20}$/, 'an id of the form ark_ and 20 characters');

const keySchema = z
  .object({
    key_id: z.string(),
    principal: z.string(),
    operator: z.boolean(),
    created_at: z.iso.datetime({ precision: 3 }),
    revoked_at: z.iso.datetime({ precision: 3 }).nullable(),
  })
  .meta({ id: 'Key' });
export type Key = z.infer<typeof keySchema>;

const keyCreatedSchema = keySchema.extend({ api_key: z.string() }).meta({ id: 'KeyCreated' });

export const keysCreate = defineOperation({
  name: 'keys.create',
  summary: 'Makes an API key of a principal; it is shown once',
  input: z.strictObject({ principal: principalSchema, operator: z.boolean('true or false').default(false) }),
  output: keyCreatedSchema,
  sight: 'none',
  right: 'operator',
  bindings: ['http'],
  http: { method: 'POST', path: '/v1/keys', answers: { 201: keyCreatedSchema } },
  errors: ['security_violation', 'read_only'],
});

const keyPageSchema = pageOf(keySchema);

export const keysList = defineOperation({
  name: 'keys.list',
  summary: 'Lists the API keys in order of id, revoked ones too',
  input: z.strictObject({}),
  output: keyPageSchema,
  sight: 'none',
  right: 'operator',
  bindings: ['http'],
  http: { method: 'GET', path: '/v1/keys', answers: { 200: keyPageSchema } },
  errors: ['security_violation'],
});

const keyRevokedSchema = z.object({ key_id: z.string(), revoked_at: z.iso.datetime({ precision: 3 }) });

export const keysRevoke = defineOperation({
  name: 'keys.revoke',
  summary: 'Revokes an API key: it ends at once, its connections too',
  input: z.strictObject({ key_id: keyIdSchema }),
  output: keyRevokedSchema,
  sight: 'none',
  right: 'operator',
  bindings: ['http'],
  http: { method: 'DELETE', path: '/v1/keys/{key_id}', answers: { 200: keyRevokedSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});
