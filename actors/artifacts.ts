import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ArtifactContent, ArtifactInfo } from '../machines/command.ts';
import { ProblemError } from '../machines/error.ts';

/** Bytes of one artifact (contract, section 2, "Bounds"). */
const MAX_ARTIFACT_BYTES = 1024 ** 3;
/** The artifact that stands for a result too large to be inline; no handler may write one of this name. */
export const RESULT_ARTIFACT = 'result';

const MAX_NAME = 128;
/** Below what file systems allow (255), with room for the name that it has while it is written. */
const MAX_NAME_BYTES = 200;
// A leading dot is left to files that are being written.
const REFUSED = /[/\\\p{Cc}]|\.\.|^\.|^$/u;

/** Throws `invalid_input` unless `name` is a plain file name of at most 128 characters. */
export const checkArtifactName = (name: string): void => {
  if (
    typeof name === 'string' &&
    name.length <= MAX_NAME &&
    Buffer.byteLength(name) <= MAX_NAME_BYTES &&
    !REFUSED.test(name)
  )
    return;
  const expected = `a file name of 1 to ${MAX_NAME} characters without separators, '..' and a leading dot`;
  throw new ProblemError('invalid_input', `an artifact's name is not allowed`, {
    more: { errors: [{ field: 'name', expected }] },
  });
};

/** Removes all artifacts of an execution; nothing where there are none. */
export const removeArtifacts = async (directory: string, execution: string): Promise<void> => {
  checkArtifactName(execution);
  const own = join(directory, execution);
  // Most executions have none, and asking costs less than a round through the thread pool.
  if (existsSync(own)) await rm(own, { recursive: true, force: true });
};

/** Removes what earlier runs of an execution have not written to its end: a part may be as large as the whole. */
export const removeUnfinished = async (directory: string, execution: string): Promise<void> => {
  checkArtifactName(execution);
  const own = join(directory, execution);
  if (!existsSync(own)) return;
  for (const name of await readdir(own)) if (name.startsWith('.')) await rm(join(own, name), { force: true });
};

/** Where an artifact is. Throws `invalid_input` for a name that could lead elsewhere. */
export const artifactPath = (directory: string, execution: string, name: string): string => {
  checkArtifactName(execution);
  checkArtifactName(name);
  return join(directory, execution, name);
};

const syncDirectory = async (path: string): Promise<void> => {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** Pieces are gathered to so many bytes before they are written. */
const GATHERED_BYTES = 256 * 1024;
/** Units of text that are encoded at a time: in UTF-8 each has 3 bytes at most. */
const ENCODED_UNITS = 64 * 1024;

/** What an artifact's content is once it is written. */
interface Written {
  readonly bytes: number;
  readonly sha256: string;
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;

const tooLarge = (maxBytes: number): ProblemError =>
  new ProblemError('too_large', `an artifact may have ${maxBytes} bytes`);

export interface WriteOptions {
  /** Asked between two pieces; what it throws ends the content. */
  readonly check?: () => void;
  /** Default 1 GiB. */
  readonly maxBytes?: number;
}

/**
 * Writes piece by piece: the next one is asked for when the last is with the system. All goes through one buffer, since
 * buffers that are thrown away count for little with the garbage collector and gather to a hundred megabytes.
 */
const writePieces = async (
  handle: FileHandle,
  content: AsyncIterable<string | Uint8Array>,
  { check, maxBytes }: Required<WriteOptions>,
): Promise<Written> => {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(GATHERED_BYTES);
  let filled = 0;
  let bytes = 0;
  /** The first half of a pair of surrogates that was cut between two texts, until the second comes. */
  let half = '';

  const flush = async (): Promise<void> => {
    const part = buffer.subarray(0, filled);
    bytes += filled;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    hash.update(part);
    await handle.writeFile(part);
    filled = 0;
  };
  const room = async (size: number): Promise<void> => {
    if (filled + size > GATHERED_BYTES) await flush();
  };
  const addText = async (text: string): Promise<void> => {
    for (let at = 0; at < text.length; ) {
      let end = Math.min(at + ENCODED_UNITS, text.length);
      if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end -= 1;
      await room(3 * (end - at));
      filled += buffer.write(text.slice(at, end), filled);
      at = end;
    }
  };
  const addBytes = async (piece: Uint8Array): Promise<void> => {
    for (let at = 0; at < piece.byteLength; ) {
      if (filled === GATHERED_BYTES) await flush();
      const part = piece.subarray(at, at + GATHERED_BYTES - filled);
      buffer.set(part, filled);
      filled += part.byteLength;
      at += part.byteLength;
    }
  };

  for await (const piece of content) {
    check();
    if (typeof piece !== 'string') {
      await addText(half);
      half = '';
      await addBytes(piece);
      continue;
    }
    const text = half + piece;
    half = isHighSurrogate(text.charCodeAt(text.length - 1)) ? text.slice(-1) : '';
    await addText(half === '' ? text : text.slice(0, -1));
  }
  await addText(half);
  check();
  await flush();
  return { bytes, sha256: hash.digest('hex') };
};

const writeWhole = async (handle: FileHandle, content: string | Uint8Array): Promise<Written> => {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  await handle.writeFile(bytes);
  return { bytes: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') };
};

/**
 * Writes an artifact so that it is there whole or not at all, also after a power loss: aside in its own directory,
 * synced, renamed, and the directory synced (contract, section 8). One of the same name is replaced. Content that comes
 * in pieces is written in constant memory. Throws `invalid_input` for a bad name, `too_large` above the bound, what the
 * content throws, and what `check` throws.
 *
 * @param directory where all artifacts are, absolute
 */
export const writeArtifact = async (
  directory: string,
  execution: string,
  name: string,
  content: ArtifactContent,
  mediaType: string,
  { check = () => {}, maxBytes = MAX_ARTIFACT_BYTES }: WriteOptions = {},
): Promise<ArtifactInfo> => {
  const path = artifactPath(directory, execution, name);
  const isWhole = typeof content === 'string' || content instanceof Uint8Array;
  if (isWhole && Buffer.byteLength(content) > maxBytes) throw tooLarge(maxBytes);
  const own = join(directory, execution);
  const created = await mkdir(own, { recursive: true });
  const aside = join(own, `.${name}.${randomBytes(6).toString('hex')}`);
  let written: Written;
  try {
    const handle = await open(aside, 'wx', 0o600);
    try {
      written = isWhole ? await writeWhole(handle, content) : await writePieces(handle, content, { check, maxBytes });
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncDirectory(own);
  if (created !== undefined) {
    await syncDirectory(directory);
    if (created !== own) await syncDirectory(dirname(created));
  }
  return { name, ...written, media_type: mediaType };
};
