import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Takes its time, and ends at once when its signal is aborted. */
export default defineCommand({
  name: 'slow',
  summary: 'Waits.',
  args: z.object({ ms: z.int().nonnegative() }),
  result: z.object({ waited_ms: z.int() }),
  run: async ({ args: { ms }, signal }) => {
    await sleep(ms, undefined, { signal });
    return { waited_ms: ms };
  },
});
