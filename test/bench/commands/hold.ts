import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

export default defineCommand({
  name: 'hold',
  summary: 'Goes on until it is cancelled.',
  args: z.strictObject({}),
  result: z.null(),
  mode: 'async',
  risk: 'minimal',
  run: ({ signal }) =>
    new Promise<null>((resolve) => {
      // A signal alone keeps no thread awake.
      const awake = setInterval(() => {}, 60_000);
      signal.addEventListener('abort', () => {
        clearInterval(awake);
        resolve(null);
      });
    }),
});
