import { z } from 'zod';
import { attenuationSchema } from '../../machines/attenuate-schema.ts';
import { capabilitySchema } from '../../machines/capability-schema.ts';
import { idSchema } from '../../machines/id-schema.ts';
import { defineOperation } from './operation.ts';
import { PAGE_QUERY, pageFields, pageOf } from './page.ts';

const MAX_LABEL = 100;

const shareSchema = z
  .object({
    share_id: z.string(),
    session_id: z.string(),
    label: z.string().nullable(),
    status: z.enum(['live', 'revoked', 'expired']),
    capability: capabilitySchema,
    /** Who made it. */
    created_by: z.object({ principal: z.string(), client_id: z.string().nullable() }),
    created_at: z.iso.datetime({ precision: 3 }),
    expires_at: z.iso.datetime({ precision: 3 }).nullable(),
  })
  .meta({ id: 'Share' });
export type Share = z.infer<typeof shareSchema>;

/** The token is shown once: a repeated request id is answered without it. */
const shareCreatedSchema = z
  .object({
    share_id: z.string(),
    token: z.string().optional(),
    capability: capabilitySchema,
    expires_at: z.iso.datetime({ precision: 3 }).nullable(),
  })
  .meta({ id: 'ShareCreated' });

export const sharesCreate = defineOperation({
  name: 'shares.create',
  summary:
    'Makes a token by which others join; it can only narrow, and `scope` limits commands, not sight: who may read sees all events',
  input: z.strictObject({
    session_id: idSchema('session'),
    ...attenuationSchema.shape,
    label: z.string().min(1, 'a label').max(MAX_LABEL, `a label of at most ${MAX_LABEL} characters`).optional(),
  }),
  output: shareCreatedSchema,
  sight: 'session',
  right: 'owner_or_sharer',
  http: { method: 'POST', path: '/v1/sessions/{session_id}/shares', answers: { 201: shareCreatedSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});

const sharePageSchema = pageOf(shareSchema);

export const sharesList = defineOperation({
  name: 'shares.list',
  summary: 'Lists the shares of a session in order of id: all for the owner, for others those that they made',
  input: z.strictObject({ session_id: idSchema('session'), ...pageFields }),
  output: sharePageSchema,
  sight: 'session',
  right: 'owner_or_sharer',
  http: {
    method: 'GET',
    path: '/v1/sessions/{session_id}/shares',
    query: PAGE_QUERY,
    answers: { 200: sharePageSchema },
  },
  errors: ['security_violation', 'not_found'],
});

const shareRevokedSchema = z.object({ share_id: z.string(), status: z.literal('revoked') });

export const sharesRevoke = defineOperation({
  name: 'shares.revoke',
  summary: 'Revokes a share with all that descends from it: who joined by it is cut, what runs under it is cancelled',
  input: z.strictObject({ share_id: idSchema('share') }),
  output: shareRevokedSchema,
  sight: 'share',
  right: 'owner_or_issuer',
  http: { method: 'DELETE', path: '/v1/shares/{share_id}', answers: { 200: shareRevokedSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});
