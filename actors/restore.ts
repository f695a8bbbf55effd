import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { codeOf, copyFile, syncTree } from './backup-files.ts';
import { type Manifest, readManifest } from './backup-manifest.ts';
import { guarded, lockDirectory, syncDirectory } from './sqlite-database.ts';
import { MIGRATIONS } from './sqlite-schema.ts';

export interface RestoreOptions {
  readonly backup: string;
  /** Where a server is to be started on it. */
  readonly directory: string;
  /** Whether a directory that holds something may be moved aside. */
  readonly force: boolean;
  /** Milliseconds since the epoch; names what is moved aside. */
  readonly now: number;
}

export interface Restored {
  readonly manifest: Manifest;
  /** Where the old directory is now; null where there was none, or an empty one. */
  readonly movedTo: string | null;
}

/**
 * Puts a backup in the place of a data directory. Every file is checked against the manifest as it is copied aside; only
 * then is anything renamed, and nothing is ever deleted. Throws an `Error` that names the file, or the directory that is
 * in use or not empty.
 */
export const restore = async ({ backup, directory, force, now }: RestoreOptions): Promise<Restored> => {
  const manifest = readManifest(backup);
  if (manifest.schema > MIGRATIONS.length)
    throw new Error(`${backup} has schema ${manifest.schema}, this release knows up to ${MIGRATIONS.length}`);
  if (!manifest.files.some(({ path }) => path === 'journal.db')) throw new Error(`${backup} holds no journal.db`);
  const place = resolve(directory);
  const isTaken = lstatSync(place, { throwIfNoEntry: false }) !== undefined && readdirOf(place).length > 0;
  if (isTaken && !force)
    throw new Error(`--data: ${directory} is not empty; --force moves it aside, and deletes nothing`);
  // Held until it is moved: no server may start on what is about to go, and none may be running on it.
  const lock = isTaken ? lockDirectory(place) : null;
  try {
    const aside = `${place}.restoring-${randomBytes(4).toString('hex')}`;
    try {
      await copyChecked(backup, manifest, aside);
      const movedTo = isTaken ? `${place}.before-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}` : null;
      if (movedTo !== null) renameSync(place, movedTo);
      else if (existsSync(place)) rmdirSync(place);
      renameSync(aside, place);
      syncDirectory(dirname(place));
      if (movedTo !== null) {
        lock?.release();
        // SQLite looks for it where it was.
        rmSync(join(movedTo, 'journal.lock-journal'), { force: true });
      }
      return { manifest, movedTo };
    } catch (error) {
      rmSync(aside, { recursive: true, force: true });
      throw error;
    }
  } finally {
    lock?.release();
  }
};

const readdirOf = (directory: string): string[] =>
  guarded(`--data: ${directory} cannot be used`, () => readdirSync(directory));

/** Throws an `Error` that names the first file that is not what was backed up. */
const copyChecked = async (backup: string, { files }: Manifest, aside: string): Promise<void> => {
  guarded(`${dirname(aside)} takes no data directory`, () => {
    mkdirSync(dirname(aside), { recursive: true, mode: 0o700 });
    mkdirSync(aside, { mode: 0o700 });
  });
  for (const { path, bytes, sha256 } of files) {
    const from = join(backup, path);
    const content = await copyFile(from, join(aside, path)).catch((cause: unknown) => {
      if (codeOf(cause) === 'ENOENT') throw new Error(`${from} is missing from the backup`, { cause });
      throw cause;
    });
    if (content.bytes !== bytes || content.sha256 !== sha256)
      throw new Error(`${from} is damaged: it is not what was backed up`);
  }
  syncTree(aside);
};
