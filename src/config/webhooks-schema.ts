import { z } from 'zod';
import { strict } from './fields.ts';

const RANGE = 'a range of addresses, for example 127.0.0.1/32 or fd00::/8';

export const webhooksSchema = strict({
  /** Ranges (CIDR) that may be called although they are private, loopback or otherwise not public. */
  allow: z.array(z.union([z.cidrv4(), z.cidrv6()], RANGE), 'a list of ranges of addresses').optional(),
});
