import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { StoreFailedError } from '../../actors/journal.ts';
import { findKey, makeKey } from '../../actors/key-file.ts';
import { guarded, makeDirectory } from '../../actors/sqlite-database.ts';

/** Keeps what cannot be kept as a hash: secrets of webhooks, which every delivery signs with. */
export interface SecretBox {
  /** The secret as it may lie on a disk and go round the ring; another text each time. */
  seal(secret: string): string;
  /** Throws an `Error`, which shows nothing of either, where it was not sealed under this key or was changed. */
  open(sealed: string): string;
}

const CIPHER = 'aes-256-gcm';
/** NIST SP 800-38D, 8.2.2: random nonces of 96 bits serve 2^32 secrets under one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What sealed texts of this form begin with, so that another may follow. */
const FORM = 'sealed1.';

/**
 * Seals with AES-256-GCM under the key in `webhooks.key` in the data directory, made where there is none, for its owner
 * alone. Throws a `StoreFailedError` that names the file where it is no key or cannot be read: secrets sealed under the
 * old one would be lost in silence under a new one.
 */
export const openSecretBox = (directory: string): SecretBox => {
  const file = join(directory, 'webhooks.key');
  makeDirectory(directory);
  const key = guarded(`the key of webhooks' secrets ${file} could not be read or made`, () => {
    const found = findKey(file);
    return found === 'missing' ? makeKey(file) : found;
  });
  if (key === 'malformed')
    throw new StoreFailedError(`the key of webhooks' secrets ${file} is malformed: put back the one of a backup`);
  return createSecretBox(key);
};

const createSecretBox = (key: Uint8Array): SecretBox => ({
  seal: (secret) => {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    return FORM + Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url');
  },
  open: (sealed) => {
    const bytes = Buffer.from(sealed.slice(FORM.length), 'base64url');
    const start = NONCE_BYTES + TAG_BYTES;
    if (!sealed.startsWith(FORM) || bytes.length < start) throw new Error('this is no sealed secret');
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, start));
    try {
      return decipher.update(bytes.subarray(start), undefined, 'utf8') + decipher.final('utf8');
    } catch (cause) {
      throw new Error('the secret was sealed under another key than webhooks.key, or was changed', { cause });
    }
  },
});

/** A new secret as Standard Webhooks writes it: `whsec_` and 32 random bytes in base64. */
export const newWebhookSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;
