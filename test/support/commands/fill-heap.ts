import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Takes memory until it is stopped. */
export default defineCommand({
  name: 'fill-heap',
  summary: 'Fills the heap.',
  args: z.object({ with: z.enum(['objects', 'map', 'text', 'buffers']) }),
  result: z.null(),
  run: ({ args }) => {
    const kept: unknown[] = [];
    const map = new Map<number, unknown>();
    for (let n = 0; ; n++) {
      if (args.with === 'objects') kept.push({ n, text: `x${n}` });
      else if (args.with === 'map') map.set(n, { n });
      else if (args.with === 'text') kept.push(JSON.stringify({ n, text: 'abc'.repeat(300) }));
      else kept.push(Buffer.alloc(1024 * 1024, 1));
    }
  },
});
