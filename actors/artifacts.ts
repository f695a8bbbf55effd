import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ArtifactInfo } from '../machines/command.ts';
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

/**
 * Writes an artifact so that it is there whole or not at all, also after a power loss: aside in its own directory,
 * synced, renamed, and the directory synced (contract, section 8). One of the same name is replaced. Throws
 * `invalid_input` for a bad name, `too_large` above 1 GiB.
 *
 * @param directory where all artifacts are, absolute
 */
export const writeArtifact = async (
  directory: string,
  execution: string,
  name: string,
  content: string | Uint8Array,
  mediaType: string,
): Promise<ArtifactInfo> => {
  const path = artifactPath(directory, execution, name);
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  if (bytes.byteLength > MAX_ARTIFACT_BYTES)
    throw new ProblemError('too_large', `an artifact may have ${MAX_ARTIFACT_BYTES} bytes`);
  const own = join(directory, execution);
  const created = await mkdir(own, { recursive: true });
  const aside = join(own, `.${name}.${randomBytes(6).toString('hex')}`);
  try {
    const handle = await open(aside, 'wx', 0o600);
    try {
      await handle.writeFile(bytes);
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
  return {
    name,
    bytes: bytes.byteLength,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    media_type: mediaType,
  };
};
