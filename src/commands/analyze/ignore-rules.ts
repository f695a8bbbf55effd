import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import ignore, { type Ignore } from 'ignore';

/** One `.gitignore` and the ones around it, innermost first. */
export interface IgnoreRules {
  readonly outer: IgnoreRules | null;
  /** What it says of a path below the analysed one; a directory's path ends with a slash. */
  test(path: string): 'ignored' | 'included' | null;
  /** A directory was included after all: this file's patterns have no say about that directory itself any more. */
  include(directory: string): void;
}

/** Git reads such files whole; one above this is not a list of patterns. */
const MAX_BYTES = 1024 * 1024;
/** The package keeps every path it was asked for: it is made anew after so many. */
const MAX_REMEMBERED = 10_000;

const escapePattern = (path: string): string => path.replace(/[\\*?[\]!#\s]/g, '\\$&');

/**
 * The rules of a `.gitignore` as text. What it says of `path` it says of `lead` and what follows the first `skip`
 * characters of the path, which is that path as seen from the file's own directory.
 */
export const createIgnoreRules = (text: string, lead: string, skip: number, outer: IgnoreRules | null): IgnoreRules => {
  const included: string[] = [];
  let rules: Ignore;
  let remembered = 0;
  const build = (): void => {
    rules = ignore({ ignorecase: false }).add(text).add(included);
    remembered = 0;
  };
  build();
  return {
    outer,
    test: (path) => {
      if ((remembered += 1) > MAX_REMEMBERED) build();
      const { ignored, unignored } = rules.test(lead + path.slice(skip));
      return ignored ? 'ignored' : unignored ? 'included' : null;
    },
    include: (directory) => {
      const own = (lead + directory.slice(skip)).split('/').filter(Boolean);
      for (let i = 1; i <= own.length; i++) included.push(`!/${escapePattern(own.slice(0, i).join('/'))}/`);
      build();
    },
  };
};

/**
 * Whether a path is ignored, as gitignore(5) has it: the innermost file that says anything decides. A directory that an
 * inner file includes again is taken out of the outer files' reach, though not what is in it.
 */
export const isIgnored = (rules: IgnoreRules | null, path: string): boolean => {
  for (let at = rules; at !== null; at = at.outer) {
    const verdict = at.test(path);
    if (verdict === 'ignored') return true;
    if (verdict === null) continue;
    if (path.endsWith('/')) {
      for (let around = at.outer; around !== null; around = around.outer) {
        if (around.test(path) === 'ignored') around.include(path);
      }
    }
    return false;
  }
  return false;
};

/** The text of a directory's `.gitignore`; null where there is none to read. Symbolic links are not followed, as in Git. */
export const readIgnoreFile = async (directory: string): Promise<string | null> => {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(join(directory, '.gitignore'), flags).catch(() => null);
  if (file === null) return null;
  try {
    const entry = await file.stat();
    return entry.isFile() && entry.size <= MAX_BYTES ? await file.readFile('utf8') : null;
  } catch {
    return null;
  } finally {
    await file.close();
  }
};
