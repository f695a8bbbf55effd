import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import type { ArtifactInfo } from '../machines/command.ts';
import { artifactPath } from './artifacts.ts';
import { codeOf, contentOf, copyFile, syncTree } from './backup-files.ts';
import { type BackupFile, type Manifest, MANIFEST_FILE } from './backup-manifest.ts';
import { databaseFile, guarded, syncDirectory } from './sqlite-database.ts';
import { MIGRATIONS, schemaOf } from './sqlite-schema.ts';
import { decodeTurns } from './turn-record.ts';

export interface BackupOptions {
  /** The data directory; a server may be running on it. */
  readonly directory: string;
  /** Where the backup is to be; made, and not there yet. */
  readonly target: string;
  /** Of this release. */
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface BackedUp {
  readonly manifest: Manifest;
  readonly artifacts: number;
  /** Artifacts that were there no more when they were to be copied: pruned since, or lost before. */
  readonly missing: number;
}

/**
 * All pages in one step, which is one read transaction: it holds no writer back. In smaller steps a copy begins anew
 * with each commit of another process, and would never end under load.
 */
const ALL_PAGES = 2 ** 31 - 1;

/** SQLite's own files beside the database, the lock, the reserve, and what is being written. */
const LEFT_BEHIND = /^(?:journal\..*|\..*|.*\.new)$/;

/**
 * Backs up a data directory, while a server works on it or not: what was acknowledged before the call is in it. It is
 * written aside, synced and renamed, so what has the name of a backup is whole. Throws an `Error` that names the file;
 * nothing is left behind then.
 */
export const backUp = async ({ directory, target, version, now }: BackupOptions): Promise<BackedUp> => {
  if (!existsSync(databaseFile(directory))) throw new Error(`--data: there is no journal in ${directory}`);
  if (existsSync(target)) throw new Error(`${target} is there already`);
  const aside = `${resolve(target)}.partial-${randomBytes(4).toString('hex')}`;
  guarded(`${dirname(aside)} takes no backup`, () => mkdirSync(aside, { mode: 0o700 }));
  try {
    const schema = await copyDatabase(directory, aside);
    const files: BackupFile[] = [{ path: 'journal.db', ...(await contentOf(databaseFile(aside))) }];
    const copy = async (path: string): Promise<boolean> => {
      try {
        files.push({ path, ...(await copyFile(join(directory, path), join(aside, path))) });
        return true;
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return false;
        throw error;
      }
    };
    // Keys and credentials, and whatever a later release keeps beside the journal.
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isFile() && !LEFT_BEHIND.test(entry.name)) await copy(entry.name);
    let [artifacts, missing] = [0, 0];
    // After the database, so that all that it names is there, but for what is pruned meanwhile.
    for (const path of namedArtifacts(aside)) {
      if (await copy(path)) artifacts += 1;
      else missing += 1;
    }
    const manifest: Manifest = {
      format: 1,
      version,
      schema,
      created_at: new Date(now).toISOString(),
      files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    };
    writeFileSync(join(aside, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flush: true });
    syncTree(aside);
    renameSync(aside, target);
    syncDirectory(dirname(aside));
    return { manifest, artifacts, missing };
  } catch (error) {
    rmSync(aside, { recursive: true, force: true });
    throw error;
  }
};

/** Copies the database with what SQLite's log holds of it, as one file, and checks the copy; answers its schema. */
const copyDatabase = async (directory: string, aside: string): Promise<number> => {
  const file = databaseFile(directory);
  const copied = databaseFile(aside);
  closeSync(openSync(copied, 'wx', 0o600));
  const source = guarded(`${file} could not be opened`, () => new DatabaseSync(file, { readOnly: true }));
  try {
    await backup(source, copied, { rate: ALL_PAGES });
  } catch (cause) {
    throw new Error(`${file} could not be copied: ${(cause as Error).message}`, { cause });
  } finally {
    source.close();
  }
  const schema = guarded(`the copy of ${file} could not be checked`, () => {
    const db = new DatabaseSync(copied);
    try {
      db.exec('PRAGMA journal_mode = DELETE');
      const verdict = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
      if (verdict !== 'ok') throw new Error(`it is damaged: ${String(verdict)}`);
      const found = schemaOf(db);
      if (found > MIGRATIONS.length) throw new Error(`its schema is ${found}, written by a newer release`);
      return found;
    } finally {
      db.close();
    }
  });
  const handle = openSync(copied, 'r');
  fsyncSync(handle);
  closeSync(handle);
  return schema;
};

/** The artifacts that the rows of the copy name, those still in its log included, as paths in the data directory. */
const namedArtifacts = (aside: string): ReadonlySet<string> => {
  const paths = new Set<string>();
  const collect = (execution: string, context: string): void => {
    if (!context.includes('"artifacts":[{')) return;
    const { artifacts } = JSON.parse(context) as { readonly artifacts: readonly ArtifactInfo[] };
    for (const { name } of artifacts) paths.add(artifactPath('artifacts', execution, name));
  };
  const file = databaseFile(aside);
  guarded(`the artifacts that ${file} names could not be read`, () => {
    const db = new DatabaseSync(file, { readOnly: true });
    try {
      const rows = db.prepare(`SELECT id, context FROM actors WHERE kind = 'execution'`);
      for (const { id, context } of rows.iterate() as Iterable<unknown> as Iterable<{ id: string; context: string }>)
        collect(id, context);
      for (const { text } of db.prepare('SELECT text FROM log ORDER BY id').iterate() as Iterable<unknown> as Iterable<{
        text: string;
      }>)
        for (const { head, contexts } of decodeTurns(text))
          for (const [index, [key]] of head.snapshots.entries()) {
            const [, kind, id] = key.split('/') as [string, string, string];
            if (kind === 'execution') collect(id, contexts[index] as string);
          }
    } finally {
      db.close();
    }
  });
  return paths;
};
