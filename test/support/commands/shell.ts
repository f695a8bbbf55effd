import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Needs execute, and does nothing with it. */
export default defineCommand({
  name: 'shell',
  summary: 'Needs execute.',
  args: z.strictObject({}),
  result: z.null(),
  operation: 'execute',
  run: () => null,
});
