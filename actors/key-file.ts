import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { syncDirectory } from './sqlite-database.ts';

/** 32 bytes. */
const FORM = /^[0-9a-f]{64}\n?$/;

/** The key in a file: 32 bytes in hexadecimal. Throws what the file system throws where it cannot be read. */
export const findKey = (file: string): Uint8Array | 'missing' | 'malformed' => {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing';
    throw error;
  }
  return FORM.test(text) ? Buffer.from(text.slice(0, 64), 'hex') : 'malformed';
};

/**
 * Draws a key and puts it in a file for its owner alone, in the place of what is there. Written aside and renamed, so
 * that a crash leaves either no key or a whole one.
 */
export const makeKey = (file: string): Uint8Array => {
  const aside = `${file}.new`;
  const key = randomBytes(32);
  rmSync(aside, { force: true });
  const handle = openSync(aside, 'wx', 0o600);
  try {
    writeFileSync(handle, `${key.toString('hex')}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(aside, file);
  syncDirectory(path.dirname(file));
  return key;
};
