import { mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigError } from './config/config-error.ts';

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Makes a directory with its parents, each once: where the system says again and again that it is not there, it ends. */
const make = async (directory: string): Promise<void> => {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && (await stat(directory)).isDirectory()) return;
    const parent = dirname(directory);
    const isParentMissing = codeOf(error) === 'ENOENT' && (await stat(parent).catch(() => null)) === null;
    if (!isParentMissing) throw error;
    await make(parent);
    await mkdir(directory, { mode: 0o700 });
  }
};

/**
 * Makes the data directory where it is not there yet, for its owner alone and out of sight of Git and of whatever
 * honours `.gitignore`. Throws `ConfigError` for `--data`.
 */
export const ensureDataDirectory = async (directory: string): Promise<void> => {
  try {
    await make(directory);
    await writeFile(join(directory, '.gitignore'), '*\n', { flag: 'wx' }).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError('--data', `expected a directory that can be written: ${why}`, { cause });
  }
};
