import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

export default defineCommand({
  name: 'noop',
  summary: 'Does nothing.',
  args: z.strictObject({}),
  result: z.object({ ok: z.literal(true) }),
  mode: 'sync',
  risk: 'minimal',
  run: () => ({ ok: true as const }),
});
