import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';

/** What SQLite makes anew, and what a running server holds. */
const LEFT_OUT = /^journal\.(lock|reserve|db-shm)|\.gitignore$/;

/** Much of a write-ahead log is the same few pages again: the window has to reach back to them. */
const WIDE = { params: { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS } };

/** The files of a data directory as one JSON text: Brotli in base64 by path. */
export const pack = (directory: string, file: string): void => {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => !LEFT_OUT.test(path) && statSync(join(directory, path)).isFile())
    .toSorted();
  const compressed = (path: string): string =>
    brotliCompressSync(readFileSync(join(directory, path)), WIDE).toString('base64');
  const content = Object.fromEntries(paths.map((path) => [path, compressed(path)]));
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
};

/** Makes the directory that was packed. */
export const unpack = (file: string, directory: string): void => {
  const content = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  for (const [path, base64] of Object.entries(content)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true, mode: 0o700 });
    writeFileSync(join(directory, path), brotliDecompressSync(Buffer.from(base64, 'base64')), { mode: 0o600 });
  }
};
