import { z } from 'zod';
import { attenuationSchema } from '../../machines/attenuate-schema.ts';
import { CLIENT_TYPES, OPERATIONS, RESOURCE_TYPES } from '../../machines/capability.ts';
import { constraintsSchema } from '../../machines/constraint-schema.ts';
import { strict, whole } from './fields.ts';

/** A grant as an operator writes it; its patterns are those of every scope. */
const grantSchema = strict({
  resource_type: z.enum(RESOURCE_TYPES, `one of ${RESOURCE_TYPES.join(', ')}`),
  operations: z
    .array(z.enum(OPERATIONS, `one of ${OPERATIONS.join(', ')}`), 'a list of operations')
    .min(1, 'at least one operation'),
  scope: attenuationSchema.shape.scope.unwrap().min(1, 'at least one pattern').default(['*']),
  constraints: constraintsSchema.default({}),
});

const grantsSchema = z.array(grantSchema, 'a list of grants').min(1, 'at least one grant').optional();
const rateSchema = whole(1).optional();

/** What principals may do by default (contract, section 6); what is left out stays as the contract says. */
export const policySchema = strict({
  ...(Object.fromEntries(CLIENT_TYPES.map((type) => [type, grantsSchema])) as Record<
    (typeof CLIENT_TYPES)[number],
    typeof grantsSchema
  >),
  /** Accepted commands of one principal and command in 60 minutes; default ten times the type's `rate_limit`. */
  principal_rate_limit: strict({ cli: rateSchema, web: rateSchema, api: rateSchema, mcp_tool: rateSchema }).optional(),
});
