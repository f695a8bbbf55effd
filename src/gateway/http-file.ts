import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { problem } from '../../machines/error.ts';
import type { FileAnswer } from './call.ts';
import { sendProblem } from './http-problem.ts';

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

/** First and last byte, both of them sent. */
interface Part {
  readonly start: number;
  readonly end: number;
}

/** RFC 9110, 14.1.2: from a byte to another or to the end, or so many at the end. */
const ONE_RANGE = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i;

/**
 * What of a file is asked for: null for the whole. RFC 9110, section 14.2: a range that is not understood, one of many,
 * and any but a GET's is ignored; 13.1.5: so is one whose `If-Range` is not this very content (a strong tag, as a date
 * never is). `unsatisfiable` where it is all beyond the end.
 */
const partOf = ({ method, headers }: FastifyRequest, bytes: number, tag: string): Part | 'unsatisfiable' | null => {
  const { range = '', 'if-range': ifRange = tag } = headers;
  const [, from = '', to = ''] = ONE_RANGE.exec(range) ?? [];
  if (method !== 'GET' || ifRange !== tag || (from === '' && to === '')) return null;
  const last = bytes - 1;
  const [start, end] =
    from === '' ? [Math.max(0, bytes - Number(to)), last] : [Number(from), to === '' ? last : Number(to)];
  if (from !== '' && start > end && to !== '') return null;
  return start > last ? 'unsatisfiable' : { start, end: Math.min(end, last) };
};

/**
 * Answers with a file, or a part of it, as fast as its reader takes it: no more than a buffer of it is in memory. Its tag
 * is the SHA-256 of its content. A reader who takes nothing for `stalledMs` is cut off.
 */
export const sendFile = async (
  request: FastifyRequest,
  reply: FastifyReply,
  file: FileAnswer,
  stalledMs: number,
): Promise<FastifyReply> => {
  const tag = `"${file.sha256}"`;
  reply.headers({ etag: tag, 'cache-control': 'private, no-cache', 'accept-ranges': 'bytes' });
  if (tagMatches(request.headers['if-none-match'], tag)) return reply.code(304).send();
  const part = partOf(request, file.bytes, tag);
  if (part === 'unsatisfiable') {
    reply.header('content-range', `bytes */${file.bytes}`);
    return sendProblem(reply, problem('range_not_satisfiable', `the file has ${file.bytes} bytes`));
  }
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file.path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    reply.removeHeader('etag').removeHeader('accept-ranges');
    return sendProblem(reply, problem('not_found', 'the artifact is no longer kept'));
  }
  const { start, end } = part ?? { start: 0, end: file.bytes - 1 };
  // Never shown in the page's own origin, whatever a command says that it is.
  reply
    .header('content-disposition', `attachment; filename*=UTF-8''${extendedValue(file.name)}`)
    .header('content-length', String(end - start + 1))
    .type(MEDIA_TYPE.test(file.mediaType) ? file.mediaType : 'application/octet-stream');
  if (part !== null) reply.code(206).header('content-range', `bytes ${start}-${end}/${file.bytes}`);
  // Of an empty file there is no last byte.
  if (request.method === 'HEAD' || file.bytes === 0) {
    await handle.close();
    // Fastify would count what is sent where it is no stream.
    return reply.send(Readable.from([]));
  }
  reply.raw.setTimeout(stalledMs, () => reply.raw.destroy());
  return reply.send(handle.createReadStream({ start, end }));
};
