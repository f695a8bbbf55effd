import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

const HOUR_MS = 3_600_000;

/** Goes on until it is cancelled. */
export default defineCommand({
  name: 'work',
  summary: 'Works for long.',
  args: z.strictObject({}),
  result: z.null(),
  run: async ({ signal }) => {
    await sleep(HOUR_MS, undefined, { signal });
    return null;
  },
});
