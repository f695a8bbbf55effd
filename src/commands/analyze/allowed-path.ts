import { lstat, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { ProblemError } from '../../../machines/error.ts';

/** A path that may be read. Both are real paths: absolute, without symbolic links. */
export interface AllowedPath {
  readonly path: string;
  /** The root it is in; may be the path itself. */
  readonly root: string;
  readonly kind: 'directory' | 'file';
}

const FIELD = 'args.path';

const refused = (cause?: unknown): ProblemError =>
  new ProblemError('path_refused', 'the path is outside the directories that commands may read', {
    more: { errors: [{ field: FIELD, expected: 'a path inside the allowed roots' }] },
    cause,
  });

const absent = (cause: unknown): ProblemError =>
  new ProblemError('not_found', 'there is no such path', {
    more: { errors: [{ field: FIELD, expected: 'a directory or file that exists' }] },
    cause,
  });

/** Whether `path` is `root` or below it; both absolute and normalised. */
const isWithin = (root: string, path: string): boolean => {
  const way = relative(root, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way));
};

const rootOf = (roots: readonly string[], path: string): string | null =>
  roots.filter((root) => isWithin(root, path)).toSorted((a, b) => b.length - a.length)[0] ?? null;

/**
 * Why a path inside the roots has no real path. What is behind a symbolic link is outside unless proven otherwise, and
 * whether something exists there is not told.
 */
const whyUnreal = async (roots: readonly string[], path: string, cause: unknown): Promise<ProblemError> => {
  for (let at = path; at !== dirname(at); at = dirname(at)) {
    const real = await realpath(at).catch(() => null);
    if (real !== null) return rootOf(roots, real) === null ? refused(cause) : absent(cause);
    const entry = await lstat(at).catch(() => null);
    if (entry?.isSymbolicLink() === true) return refused(cause);
  }
  return absent(cause);
};

/**
 * Resolves a path (relative to the first root, or absolute) and checks that it is inside one of the roots, also where
 * symbolic links lead. Throws `ProblemError`: `path_refused` outside, `not_found` where there is nothing, both naming
 * the field `args.path`.
 */
export const allowedPath = async (path: string, roots: readonly string[]): Promise<AllowedPath> => {
  const [first] = roots;
  if (first === undefined) throw refused();
  const real = (await Promise.all(roots.map((root) => realpath(root).catch(() => null)))).filter(
    (root) => root !== null,
  );
  const asked = resolve(first, path);
  if (
    rootOf(
      roots.map((root) => resolve(root)),
      asked,
    ) === null &&
    rootOf(real, asked) === null
  )
    throw refused();
  let found: string;
  try {
    found = await realpath(asked);
  } catch (error) {
    throw await whyUnreal(real, asked, error);
  }
  const root = rootOf(real, found);
  if (root === null) throw refused();
  const entry = await stat(found).catch((error: unknown) => {
    throw absent(error);
  });
  if (entry.isDirectory()) return { path: found, root, kind: 'directory' };
  if (entry.isFile()) return { path: found, root, kind: 'file' };
  throw absent(new TypeError('neither a directory nor a regular file'));
};
