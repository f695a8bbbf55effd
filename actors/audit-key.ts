import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StoreFailedError } from './journal.ts';
import { guarded, syncDirectory } from './sqlite-database.ts';

/** 32 bytes. */
const FORM = /^[0-9a-f]{64}\n?$/;

const auditKeyFile = (directory: string): string => path.join(directory, 'audit.key');

/** The key that chains the audit. Throws a `StoreFailedError` where the file is missing or is no key. */
export const readAuditKey = (directory: string): Uint8Array => {
  const file = auditKeyFile(directory);
  const key = guarded(`the key of the audit ${file} could not be read`, () => findKey(file));
  if (typeof key !== 'string') return key;
  throw new StoreFailedError(`the key of the audit ${file} is ${key}, and without it the records cannot be checked`);
};

/**
 * The key that chains the audit; made where there is none. With records it has to be there: under a new key they could
 * never be told from forged ones. Throws a `StoreFailedError` that names the file.
 */
export const openAuditKey = (directory: string, hasRecords: boolean): Uint8Array => {
  if (hasRecords) return readAuditKey(directory);
  const file = auditKeyFile(directory);
  return guarded(`the key of the audit ${file} could not be made`, () => {
    const key = findKey(file);
    return typeof key === 'string' ? makeKey(directory) : key;
  });
};

const findKey = (file: string): Uint8Array | 'missing' | 'malformed' => {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing';
    throw error;
  }
  return FORM.test(text) ? Buffer.from(text.slice(0, 64), 'hex') : 'malformed';
};

/** Written aside and renamed, so that a crash leaves either no key or a whole one. */
const makeKey = (directory: string): Uint8Array => {
  const file = auditKeyFile(directory);
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
  syncDirectory(directory);
  return key;
};
