import { restore as restoreBackup } from '../../actors/restore.ts';
import { EXIT } from './errors.ts';

/** `arbor restore`: makes a data directory from a backup. Resolves with the exit code. */
export const restore = async (
  directory: string,
  backup: string,
  { force = false }: { readonly force?: boolean },
): Promise<number> => {
  const { manifest, movedTo } = await restoreBackup({ backup, directory, force, now: Date.now() });
  const moved = movedTo === null ? '' : `; what was there is now ${movedTo}`;
  process.stdout.write(`${directory} is as it was at ${manifest.created_at}${moved}\n`);
  return EXIT.ok;
};
