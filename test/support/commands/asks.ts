import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Asks in the middle, after a step that is to run once. */
export default defineCommand({
  name: 'asks',
  summary: 'Asks whether to go on.',
  args: z.object({ timeout: z.number().optional(), mark: z.string() }),
  result: z.object({ status: z.string(), by: z.array(z.string()), mark: z.string() }),
  mode: 'async',
  run: async ({ args: { timeout, mark }, step, confirm }) => {
    const made = await step('mark', () => `${mark} ${Math.random()}`);
    const { status, confirmations } = await confirm({
      description: 'Shall it go on?',
      details: { mark: made, api_key: 'never to be shown' },
      ...(timeout === undefined ? {} : { timeout }),
    });
    return { status, by: confirmations.map(({ principal }) => principal), mark: made };
  },
});
