import { z } from 'zod';
import { ID_PATTERNS, ID_PREFIXES } from './id.ts';
import type { Id, IdKind } from './id.ts';

/** An id of this kind. */
export const idSchema = <K extends IdKind>(kind: K) =>
  z
    .string()
    .regex(ID_PATTERNS[kind], `an id of the form ${ID_PREFIXES[kind]}_ and 26 characters`)
    .transform((text) => text as Id<K>);
