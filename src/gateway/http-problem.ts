import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Problem } from '../../machines/error.ts';

/** The limit that a refusal speaks of. */
const limitSchema = z.object({
  policy: z.string().regex(/^[\w-]+$/),
  quota: z.int().positive(),
  window: z.int().positive(),
});

/** draft-ietf-httpapi-ratelimit-headers, sections 3 and 4: structured fields, for a limit that is used up. */
const rateLimitFields = ({ limit, retry_after = 0 }: Problem): Record<string, string> => {
  const checked = limitSchema.safeParse(limit);
  if (!checked.success) return {};
  const { policy, quota, window } = checked.data;
  return {
    'ratelimit-policy': `"${policy}";q=${quota};w=${window}`,
    ratelimit: `"${policy}";r=0;t=${Math.ceil(retry_after)}`,
  };
};

export const sendProblem = (reply: FastifyReply, what: Problem): FastifyReply => {
  if (what.retry_after !== undefined) reply.header('retry-after', String(Math.ceil(what.retry_after)));
  if (what.status === 429) reply.headers(rateLimitFields(what));
  if (what.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply.code(what.status).type('application/problem+json').send(JSON.stringify(what));
};
