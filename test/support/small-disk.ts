import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of its own that can be filled to the last block. */
export interface SmallDisk extends Disposable {
  readonly directory: string;
  /** Takes every free block, and those that others give back, until it is emptied. */
  fill(): void;
  empty(): void;
}

const FILL_MS = 5;

/** Processes that have a file or a working directory below this one, as `pid: path`. */
export const holdersOf = (directory: string): string[] =>
  readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        const links = [`/proc/${pid}/cwd`, ...readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)];
        const paths = links.flatMap((link) => {
          try {
            return [readlinkSync(link)];
          } catch {
            return [];
          }
        });
        const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
        return paths.filter((path) => path.startsWith(directory)).map((path) => `${pid} ${name}: ${path}`);
      } catch {
        return [];
      }
    });

/**
 * Mounts a tmpfs on a new directory; throws where that is not permitted: root is needed. It is to be made before the
 * servers on it, so that it is disposed of after them.
 */
export const mountSmallDisk = (mebibytes: number): SmallDisk => {
  const directory = mkdtempSync(join(tmpdir(), 'arbor-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=700`, 'tmpfs', directory], {
      stdio: 'ignore',
    });
  } catch (error) {
    rmSync(directory, { recursive: true });
    throw error;
  }
  const ballast = join(directory, 'ballast');
  const free = (): number => {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  };
  let filling: NodeJS.Timeout | undefined;
  const take = (): void => {
    // Whoever else writes takes blocks meanwhile.
    for (let n = 0; n < 50 && free() > 0; n += 1) {
      try {
        writeFileSync(ballast, Buffer.alloc(Math.min(free(), 1_048_576)), { flag: 'a' });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  };
  return {
    directory,
    fill: () => {
      take();
      filling ??= setInterval(take, FILL_MS);
    },
    empty: () => {
      clearInterval(filling);
      filling = undefined;
      rmSync(ballast, { force: true });
    },
    [Symbol.dispose]: () => {
      clearInterval(filling);
      try {
        execFileSync('umount', [directory], { stdio: 'pipe' });
      } catch (cause) {
        const holders = holdersOf(directory).join(', ');
        execFileSync('umount', ['-l', directory], { stdio: 'ignore' });
        throw new Error(`the disk was still held: ${holders}`, { cause });
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
};
