import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { problem, type Problem } from '../../machines/error.ts';
import { preferredWait } from '../operations/http-request.ts';
import { statusOf, type Operation } from '../operations/operation.ts';
import type { CallResult, FileAnswer } from './call.ts';

/** Seconds after which asking again for something that goes on makes sense. */
const RETRY_PENDING = 1;

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

/** Answers a call as its operation's HTTP binding says (contract, section 2). */
export const sendResult = async (
  request: FastifyRequest,
  reply: FastifyReply,
  operation: Operation,
  result: CallResult,
): Promise<FastifyReply> => {
  if (!result.ok) return sendProblem(reply, result.problem);
  if ('file' in result) return sendFile(request, reply, result.file);
  reply.type('application/json; charset=utf-8');
  if ('json' in result) return reply.code(200).send(result.json);
  const { body } = result;
  const status = statusOf(operation, body);
  const location = operation.http.location?.(body) ?? null;
  if (location !== null) reply.header('location', location);
  if (status === 202) reply.header('retry-after', String(RETRY_PENDING));
  const prefer = request.headers['prefer'];
  if (operation.http.prefer && prefer !== undefined) {
    const wait = preferredWait(String(prefer));
    if (wait !== null) reply.header('preference-applied', wait === 0 ? 'respond-async' : `wait=${wait}`);
  }
  return reply.code(status).send(JSON.stringify(body));
};

/** RFC 9110, 13.1.2: a list of tags, weak ones included, or `*`. */
const tagMatches = (header: string | undefined, tag: string): boolean =>
  header !== undefined &&
  header.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === tag);

/** RFC 8187, section 3.2: what `encodeURIComponent` leaves and the syntax does not allow. */
const extendedValue = (name: string): string =>
  encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** RFC 9110, section 8.3.1; parameters in printable ASCII. A command's author says what it is, and may be wrong. */
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(;[ -~]*)?$/;

const sendFile = async (request: FastifyRequest, reply: FastifyReply, file: FileAnswer): Promise<FastifyReply> => {
  const tag = `"${file.sha256}"`;
  reply.header('etag', tag).header('cache-control', 'private, no-cache');
  if (tagMatches(request.headers['if-none-match'], tag)) return reply.code(304).send();
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file.path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    reply.removeHeader('etag');
    return sendProblem(reply, problem('not_found', 'the artifact is no longer kept'));
  }
  // Never shown in the page's own origin, whatever a command says that it is.
  reply
    .header('content-disposition', `attachment; filename*=UTF-8''${extendedValue(file.name)}`)
    .header('content-length', String(file.bytes))
    .type(MEDIA_TYPE.test(file.mediaType) ? file.mediaType : 'application/octet-stream');
  if (request.method === 'HEAD') {
    await handle.close();
    return reply.send();
  }
  return reply.send(createReadStream('', { fd: handle }));
};
