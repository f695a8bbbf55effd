import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** Written last, so that a directory without it is no backup. */
export const MANIFEST_FILE = 'manifest.json';

/** A path inside the backup; nothing that leads out of it. */
const pathSchema = z
  .string()
  .refine(
    (path) => path.split('/').every((part) => part !== '' && part !== '.' && part !== '..') && !path.includes('\\'),
    'a path inside the backup',
  );

const manifestSchema = z.strictObject({
  format: z.literal(1),
  /** Of the release that made it. */
  version: z.string(),
  /** Of the database. */
  schema: z.int().positive(),
  created_at: z.iso.datetime({ precision: 3 }),
  /** Everything that is in it, besides this. */
  files: z.array(
    z.strictObject({
      path: pathSchema,
      bytes: z.int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});
export type Manifest = z.infer<typeof manifestSchema>;
export type BackupFile = Manifest['files'][number];

/** Throws an `Error` that names the file where it is missing or is no manifest. */
export const readManifest = (backup: string): Manifest => {
  const file = join(backup, MANIFEST_FILE);
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const isMissing = ['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '');
    throw new Error(isMissing ? `${backup} is no whole backup: it has no ${MANIFEST_FILE}` : `${file} is no JSON`, {
      cause,
    });
  }
  const checked = manifestSchema.safeParse(given);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  throw new Error(`${file} is no manifest of this release: ${issue?.path.join('.')}: ${issue?.message}`);
};
