import { isId } from '../../machines/id.ts';
import { createHttpClient } from '../client/index.ts';
import { EXIT, UsageError } from './errors.ts';
import type { Settings } from './settings.ts';

/** The id of an API key, not the key. */
const KEY_ID = /^ark_[0-9a-f]{20}$/;

/**
 * `arbor revoke`: revokes a share or a capability, and all that descends from it. Resolves with the exit code. What is no
 * id is not sent and not repeated: it may be the token itself, whose place is in no path and no log.
 */
export const revoke = async (settings: Settings, id: string): Promise<number> => {
  const { shares, capabilities } = createHttpClient(settings);
  if (isId('share', id)) {
    const { status } = await shares.revoke({ share_id: id });
    process.stdout.write(`${id} ${status}\n`);
  } else if (isId('capability', id)) {
    const { revoked } = await capabilities.revoke({ capability_id: id });
    process.stdout.write(revoked.map((each) => `${each} revoked\n`).join(''));
  } else if (id.startsWith('ark_')) throw new UsageError('an API key is revoked with "arbor token revoke <key id>"');
  else throw new UsageError('expected the id of a share (shr_…) or of a capability (cap_…), not its token');
  return EXIT.ok;
};

/** `arbor token revoke`: revokes an API key by its id. Resolves with the exit code. */
export const revokeToken = async (settings: Settings, key_id: string): Promise<number> => {
  if (!KEY_ID.test(key_id)) throw new UsageError('expected the id of an API key (ark_… up to the dot), not the key');
  await createHttpClient(settings).keys.revoke({ key_id });
  process.stdout.write(`${key_id} revoked\n`);
  return EXIT.ok;
};
