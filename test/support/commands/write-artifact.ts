import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Writes an artifact under the given name. */
export default defineCommand({
  name: 'write-artifact',
  summary: 'Writes an artifact.',
  args: z.object({ name: z.string(), text: z.string(), awaited: z.boolean().default(true) }),
  result: z.object({ bytes: z.int().nullable() }),
  run: async ({ args, artifact }) => {
    const written = artifact(args.name, args.text, 'text/plain');
    return { bytes: args.awaited ? (await written).bytes : null };
  },
});
