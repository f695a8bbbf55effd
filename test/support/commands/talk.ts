import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Says much: progress, output to both streams, lines for the log. */
export default defineCommand({
  name: 'talk',
  summary: 'Emits progress and output.',
  args: z.object({
    progress: z.int().nonnegative().default(0),
    chunks: z.int().nonnegative().default(0),
    /** Characters of each chunk. */
    size: z.int().positive().default(10),
    both: z.boolean().default(false),
    awaited: z.boolean().default(true),
    lines: z.int().nonnegative().default(0),
    /** Pause between two of anything. */
    pause_ms: z.int().nonnegative().default(0),
  }),
  result: z.object({ written: z.int() }),
  max_output: 4 * 1024 * 1024,
  run: async ({ args, progress, output, log }) => {
    let written = 0;
    for (let n = 1; n <= args.progress; n++) {
      progress((n / args.progress) * 100, `step ${n}`, { n });
      if (args.pause_ms > 0 && n < args.progress) await sleep(args.pause_ms);
    }
    for (let n = 0; n < args.chunks; n++) {
      const chunk = `${n}:`.padEnd(args.size - 1, '.').concat('\n');
      const done = output(chunk, args.both && n % 2 === 1 ? 'stderr' : 'stdout');
      if (args.awaited) await done;
      written += chunk.length;
      if (args.pause_ms > 0) await sleep(args.pause_ms);
    }
    for (let n = 0; n < args.lines; n++) log(`line ${n}`, { n });
    return { written };
  },
});
