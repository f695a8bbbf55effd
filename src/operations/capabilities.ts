import { z } from 'zod';
import { capabilitySchema } from '../../machines/capability-schema.ts';
import { idSchema } from '../../machines/id-schema.ts';
import { defineOperation } from './operation.ts';
import { PAGE_QUERY, pageFields, pageOf } from './page.ts';

const capabilityPageSchema = pageOf(capabilitySchema);

export const capabilitiesList = defineOperation({
  name: 'capabilities.list',
  summary: 'Lists the capabilities of a session in order of id: all for the owner, for others their own',
  input: z.strictObject({ session_id: idSchema('session'), ...pageFields }),
  output: capabilityPageSchema,
  sight: 'session',
  right: 'read',
  http: {
    method: 'GET',
    path: '/v1/sessions/{session_id}/capabilities',
    query: PAGE_QUERY,
    answers: { 200: capabilityPageSchema },
  },
  errors: ['security_violation', 'not_found'],
});

const capabilityRevokedSchema = z.object({
  capability_id: z.string(),
  /** It and all that descended from it. */
  revoked: z.array(z.string()),
});

export const capabilitiesRevoke = defineOperation({
  name: 'capabilities.revoke',
  summary: 'Revokes a capability with all that descend from it, at once',
  input: z.strictObject({ capability_id: idSchema('capability') }),
  output: capabilityRevokedSchema,
  sight: 'capability',
  right: 'owner',
  http: { method: 'DELETE', path: '/v1/capabilities/{capability_id}', answers: { 200: capabilityRevokedSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});
