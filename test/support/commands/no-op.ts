import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Answers with what it was given. */
export default defineCommand({
  name: 'no-op',
  summary: 'Does nothing.',
  args: z.object({ value: z.unknown().default(null), pad: z.int().nonnegative().default(0) }),
  result: z.object({ value: z.unknown(), pad: z.string() }).or(z.object({})),
  mode: 'sync',
  run: ({ args: { value, pad } }) => (value === null && pad === 0 ? {} : { value, pad: 'x'.repeat(pad) }),
});
