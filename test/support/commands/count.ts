import { appendFileSync } from 'node:fs';
import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Leaves a line in a file, so that a test sees each time it was run. */
export default defineCommand({
  name: 'count',
  summary: 'Appends a line to a file.',
  args: z.object({ path: z.string() }),
  result: z.object({}),
  run: ({ args: { path }, execution, attempt }) => {
    appendFileSync(path, `${execution.id} ${attempt}\n`);
    return {};
  },
});
