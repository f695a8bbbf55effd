import type { Socket } from 'node:net';
import type { FastifyError } from 'fastify';
import { problem, type Problem } from '../../machines/error.ts';

/** What the server's own refusals are as coded errors. Null for what is a fault of the server. */
export const problemOfFastify = (error: FastifyError, bodyBytes: number): Problem | null => {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return problem('too_large', `a body has at most ${bodyBytes} bytes`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return problem('unsupported_media_type', 'expected Content-Type: application/json');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return problem('invalid_input', 'the body is not as long as Content-Length says');
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return invalidJson();
    case 'FST_ERR_BAD_URL':
      return problem('invalid_input', 'the path is not a valid URL path');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return problem('not_found', 'there is no such thing');
  }
  if (error instanceof SyntaxError && error.statusCode === 400) return invalidJson();
  const status = error.statusCode ?? 500;
  return status >= 400 && status < 500 ? problem('invalid_input', 'the request is not valid') : null;
};

const invalidJson = (): Problem =>
  problem('invalid_input', 'the body is not valid JSON', { errors: [{ field: '', expected: 'a JSON object' }] });

/** Answers what is no HTTP at all, or has headers beyond the bound, before there is a request. */
export const refuseSocket = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const what =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? problem('too_large', 'the headers are larger than the bound')
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? problem('timed_out', 'the request did not arrive in time')
        : problem('invalid_input', 'the request is not valid HTTP');
  const body = JSON.stringify(what);
  socket.end(
    `HTTP/1.1 ${what.status} Error\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
};
