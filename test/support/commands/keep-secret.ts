import { createHash } from 'node:crypto';
import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

const marked = () => z.string().meta({ secret: true });

/** What its arguments hold, as it were told: every text, hashed. */
const hashes = (value: unknown): string[] => {
  if (typeof value === 'string') return [createHash('sha256').update(value).digest('hex')];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(hashes) : [];
};

/** Takes secrets and keeps them; it proves with hashes that it was given them. Fields are marked in every way there is. */
export default defineCommand({
  name: 'keep-secret',
  summary: 'Takes secrets and keeps them.',
  args: z.looseObject({
    how: z.enum(['answer', 'throw', 'exit', 'log']).default('answer'),
    pin: marked().optional(),
    late: z.string().optional().meta({ secret: true }),
    blank: marked().nullable().optional(),
    spare: marked().default('none'),
    seeds: z.array(marked()).optional(),
    words: z.record(z.string(), marked()).optional(),
    either: z.union([marked(), z.int()]).optional(),
    pair: z.tuple([z.string(), marked()]).optional(),
    named: z.string().meta({ id: 'KeptSecret', secret: true }).optional(),
    inner: z.object({ seed: marked(), host: z.string() }).optional(),
  }),
  result: z.object({ hashes: z.array(z.string()) }),
  mode: 'sync',
  audit: true,
  retry: { limit: 0 },
  run: ({ args, log }) => {
    switch (args.how) {
      case 'throw':
        throw new Error('it could not log in');
      case 'exit':
        return process.exit(7);
      case 'log':
        log('a careless line', { ...args });
        log(`a careless text:\n${String(args['token'])}`);
        log('a careless line of what is deep within', { a: { b: { c: [{ args }] } } });
        break;
      case 'answer':
        break;
    }
    return { hashes: hashes(args).toSorted() };
  },
});
