import { z } from 'zod';
import { OPERATIONS, RESOURCE_TYPES } from './capability-axes.ts';
import { constraintsSchema } from './constraint-schema.ts';

export const capabilitySchema = z
  .object({
    id: z.string(),
    resource_type: z.enum(RESOURCE_TYPES),
    operations: z.array(z.enum(OPERATIONS)),
    scope: z.array(z.string()),
    constraints: constraintsSchema,
    principal: z.string(),
    session_id: z.string(),
    parent_id: z.string().nullable(),
    depth: z.int().nonnegative(),
    issued_at: z.iso.datetime({ precision: 3 }),
  })
  .meta({ id: 'Capability' });
export type Capability = z.infer<typeof capabilitySchema>;
