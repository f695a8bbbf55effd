import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';
import { ProblemError, TerminalError } from '../../../machines/error.ts';

const WAYS = [
  'exit',
  'throw',
  'terminal',
  'problem',
  'rejection',
  'timer',
  'left-behind',
  'bad-result',
  'bigint',
  'abort',
  'block',
  'print',
  'print-and-spin',
  'timers',
] as const;

/** Fails in the way that it is asked to. */
export default defineCommand({
  name: 'crash',
  summary: 'Fails.',
  args: z.object({ how: z.enum(WAYS) }),
  retry: { limit: 3, base_ms: 1 },
  result: z.object({ done: z.union([z.boolean(), z.bigint()]) }),
  run: async ({ args: { how } }) => {
    switch (how) {
      case 'exit':
        return process.exit(7);
      case 'throw':
        throw new Error('it went wrong');
      case 'terminal':
        throw new TerminalError('never again');
      case 'problem':
        throw new ProblemError('rate_limited', 'come back later', { more: { retry_after: 3 } });
      case 'rejection':
        void Promise.reject(new Error('nobody looks at this'));
        await sleep(60_000);
        break;
      case 'timer':
        setTimeout(() => {
          throw new Error('thrown by a timer');
        }, 1);
        await sleep(60_000);
        break;
      case 'left-behind':
        setTimeout(() => {
          throw new Error('thrown after the end');
        }, 50);
        break;
      case 'bad-result':
        return { done: 'maybe' as never };
      case 'bigint':
        return { done: 1n };
      case 'abort':
        return process.abort();
      case 'block':
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        break;
      case 'print':
        for (;;) {
          console.log('printed '.repeat(1_000));
          await sleep(1);
        }
      case 'print-and-spin':
        for (;;) console.error('printed '.repeat(1_000));
      case 'timers':
        for (let n = 0; n < 1_000; n++) setInterval(() => JSON.stringify({ n }), 1);
        break;
    }
    return { done: true };
  },
});
