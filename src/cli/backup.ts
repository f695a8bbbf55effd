import { backUp } from '../../actors/backup.ts';
import { VERSION } from '../version.ts';
import { EXIT } from './errors.ts';

/** `arbor backup`: copies a data directory, of a running server too. Resolves with the exit code. */
export const backup = async (directory: string, target: string): Promise<number> => {
  const { manifest, artifacts, missing } = await backUp({ directory, target, version: VERSION, now: Date.now() });
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  const gone = missing === 0 ? '' : `; ${missing} artifacts are no longer kept`;
  process.stdout.write(
    `${target}: ${manifest.files.length} files, ${artifacts} of them artifacts, ${bytes} bytes${gone}\n`,
  );
  return EXIT.ok;
};
