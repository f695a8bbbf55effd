import { z } from 'zod';
import { defineCommand } from '../../../machines/command.ts';

/** Tells what its context holds. */
export default defineCommand({
  name: 'about',
  summary: 'Shows the context.',
  args: z.object({ upper: z.string().transform((text) => text.toUpperCase()), count: z.int().default(3) }),
  result: z.record(z.string(), z.unknown()),
  run: ({ args, session, execution, attempt, idempotencyKey, roots, signal }) => ({
    args,
    session: session.id,
    execution: execution.id,
    attempt,
    idempotency_key: idempotencyKey,
    roots,
    aborted: signal.aborted,
  }),
});
