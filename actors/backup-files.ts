import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdirSync, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { BackupFile } from './backup-manifest.ts';
import { syncDirectory } from './sqlite-database.ts';

/** What a file holds. */
export type Content = Pick<BackupFile, 'bytes' | 'sha256'>;

/** Passes bytes on and knows afterwards what they were. */
const meter = () => {
  const hash = createHash('sha256');
  let bytes = 0;
  return {
    pass: async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of source) {
        hash.update(chunk);
        bytes += chunk.byteLength;
        yield chunk;
      }
    },
    content: (): Content => ({ bytes, sha256: hash.digest('hex') }),
  };
};

/** Copies a file, for its owner alone, synced; makes the directories above it. Answers what was copied. */
export const copyFile = async (from: string, to: string): Promise<Content> => {
  const source = await open(from, 'r');
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  const { pass, content } = meter();
  await pipeline(source.createReadStream(), pass, createWriteStream(to, { flags: 'wx', mode: 0o600, flush: true }));
  return content();
};

export const contentOf = async (file: string): Promise<Content> => {
  const { pass, content } = meter();
  for await (const _ of pass(createReadStream(file)));
  return content();
};

/** Makes durable which files a directory and those in it have. */
export const syncTree = (directory: string): void => {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) syncTree(join(directory, entry.name));
  }
  syncDirectory(directory);
};

export const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;
