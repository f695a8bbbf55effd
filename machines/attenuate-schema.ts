import { z } from 'zod';
import { OPERATIONS, RESOURCE_TYPES } from './capability-axes.ts';
import { constraintsInputSchema } from './constraint-schema.ts';

const MAX_PATTERNS = 100;
const MAX_PATTERN_LENGTH = 200;

const patternSchema = z
  .string()
  .max(MAX_PATTERN_LENGTH)
  .regex(/^(?:[^*]+\*?|\*)$/, 'a name, or the beginning of names and *');

/** What is asked of a derived capability. What is left out is the parent's. */
export const attenuationSchema = z.strictObject({
  resource_type: z.enum(RESOURCE_TYPES).optional(),
  operations: z.array(z.enum(OPERATIONS)).min(1).optional(),
  scope: z.array(patternSchema).max(MAX_PATTERNS).optional(),
  constraints: constraintsInputSchema.optional(),
});
export type Attenuation = z.infer<typeof attenuationSchema>;
