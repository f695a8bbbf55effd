import type { FastifyReply, FastifyRequest } from 'fastify';
import { preferredWait } from '../operations/http-request.ts';
import { statusOf, type Operation } from '../operations/operation.ts';
import type { CallResult } from './call.ts';
import { sendFile } from './http-file.ts';
import { sendProblem } from './http-problem.ts';

/** Seconds after which asking again for something that goes on makes sense. */
const RETRY_PENDING = 1;

/**
 * Answers a call as its operation's HTTP binding says (contract, section 2). A reader of a file who takes nothing for
 * `stalledMs` is cut off.
 */
export const sendResult = async (
  request: FastifyRequest,
  reply: FastifyReply,
  operation: Operation,
  result: CallResult,
  stalledMs: number,
): Promise<FastifyReply> => {
  if (!result.ok) return sendProblem(reply, result.problem);
  if ('file' in result) return sendFile(request, reply, result.file, stalledMs);
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
