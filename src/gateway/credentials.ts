import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { KeyStore } from '../../actors/journal.ts';
import { createApiKey } from './keys.ts';

/** `DIR/credentials.json` (contract, section 11): what the CLI finds by itself. */
export const credentialsSchema = z.object({ principal: z.string(), api_key: z.string() });
export type Credentials = z.infer<typeof credentialsSchema>;

export const credentialsFile = (directory: string): string => join(directory, 'credentials.json');

const OPERATOR = 'operator';

/**
 * Makes the operator's principal on the first start. The key is written (mode 0600) before its hash is stored: a crash
 * between the two leaves a file that the next start replaces, never a key that nobody knows.
 */
export const ensureOperator = async (keys: KeyStore, directory: string, now: number): Promise<void> => {
  if ((await keys.list()).some(({ operator, revoked_at }) => operator && revoked_at === null)) return;
  const { key, stored } = createApiKey({ principal: OPERATOR, operator: true, now });
  const file = credentialsFile(directory);
  const content: Credentials = { principal: OPERATOR, api_key: key };
  await writeFile(`${file}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
  await keys.put(stored);
};

/** Reads the credentials of a data directory; null where there are none. */
export const readCredentials = async (directory: string): Promise<Credentials | null> => {
  try {
    return credentialsSchema.parse(JSON.parse(await readFile(credentialsFile(directory), 'utf8')));
  } catch {
    return null;
  }
};
