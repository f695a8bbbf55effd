import path from 'node:path';
import { StoreFailedError } from './journal.ts';
import { findKey, makeKey } from './key-file.ts';
import { guarded } from './sqlite-database.ts';

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
    return typeof key === 'string' ? makeKey(file) : key;
  });
};
