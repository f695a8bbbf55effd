import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyStore } from '../../actors/journal.ts';
import { createApiKey } from './keys.ts';

/** `DIR/credentials.json` (contract, section 11): what the CLI finds by itself. */
interface Credentials {
  readonly principal: string;
  readonly api_key: string;
}

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
  await keys.put(stored, {
    type: 'key_created',
    at: now,
    session_id: null,
    principal: null,
    client_id: null,
    data: { key_id: stored.id, principal: OPERATOR, operator: true },
  });
};
