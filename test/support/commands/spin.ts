import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Never gives its thread back. */
export default defineCommand({
  name: 'spin',
  summary: 'Spins for ever.',
  args: z.object({}),
  result: z.null(),
  run: () => {
    for (;;);
  },
});
