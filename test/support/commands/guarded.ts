import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Starts only once somebody else has said yes. */
export default defineCommand({
  name: 'guarded',
  summary: 'Does what is dangerous.',
  args: z.object({ target: z.string(), api_key: z.string().optional() }),
  result: z.object({ done: z.string() }),
  mode: 'async',
  confirmations: 1,
  run: ({ args: { target } }) => ({ done: target }),
});
