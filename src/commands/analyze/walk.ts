import { opendir } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import type { AllowedPath } from './allowed-path.ts';
import { createIgnoreRules, isIgnored, readIgnoreFile, type IgnoreRules } from './ignore-rules.ts';

/** Something below the analysed path; `path` is relative to it, with slashes. */
export interface Entry {
  readonly path: string;
  readonly kind: 'file' | 'symlink' | 'special' | 'unreadable';
}

interface Pending {
  /** Empty for the analysed path itself, else it ends with a slash. */
  readonly path: string;
  readonly rules: IgnoreRules | null;
}

/** Git's own directory, or the file that stands for it in a worktree. */
const GIT = '.git';

/** The rules from the root down to the analysed directory, which they do not exclude: it was asked for. */
const rulesAbove = async ({ root, path }: AllowedPath): Promise<IgnoreRules | null> => {
  let rules: IgnoreRules | null = null;
  const way = relative(root, path).split(sep).filter(Boolean);
  for (let i = 0; i < way.length; i++) {
    const text = await readIgnoreFile(join(root, ...way.slice(0, i)));
    if (text === null) continue;
    rules = createIgnoreRules(text, `${way.slice(i).join('/')}/`, 0, rules);
    rules.include('');
  }
  return rules;
};

/**
 * Walks a directory, or gives the one file. Leaves out what `.gitignore` files exclude (those in the tree and those
 * above it up to the root) and Git's own directory; follows no symbolic link. Holds one directory open and a list of
 * the directories still to come; the order is that of the file system. Throws the signal's reason once it is aborted.
 */
export async function* walk(from: AllowedPath, signal: AbortSignal): AsyncGenerator<Entry> {
  if (from.kind === 'file') {
    yield { path: basename(from.path), kind: 'file' };
    return;
  }
  const pending: Pending[] = [{ path: '', rules: await rulesAbove(from) }];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    signal.throwIfAborted();
    const directory = join(from.path, at.path);
    const text = await readIgnoreFile(directory);
    const rules = text === null ? at.rules : createIgnoreRules(text, '', at.path.length, at.rules);
    try {
      for await (const entry of await opendir(directory)) {
        signal.throwIfAborted();
        if (entry.name === GIT) continue;
        const isDirectory = entry.isDirectory();
        const path = `${at.path}${entry.name}${isDirectory ? '/' : ''}`;
        if (isIgnored(rules, path)) continue;
        if (isDirectory) pending.push({ path, rules });
        else yield { path, kind: entry.isFile() ? 'file' : entry.isSymbolicLink() ? 'symlink' : 'special' };
      }
    } catch (error) {
      if (signal.aborted || (error as NodeJS.ErrnoException).syscall === undefined) throw error;
      yield { path: at.path === '' ? '.' : at.path, kind: 'unreadable' };
    }
  }
}

/** Where the entries of a walk are. */
export const baseOf = ({ kind, path }: AllowedPath): string => (kind === 'file' ? dirname(path) : path);
