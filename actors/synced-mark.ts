import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { StoreFailedError } from './journal.ts';
import { guarded, walFile } from './sqlite-database.ts';
import { frameOffset, readSalts, scanWal, type WalScan } from './sqlite-wal.ts';

/**
 * How far SQLite's log is known to be on the disk. SQLite itself ends its log at the first frame that does not check, so
 * without this a frame that was damaged later would silently take with it all that was acknowledged after it. The mark
 * is written after each fsync and not synced itself: whatever of it survives is true.
 */
export interface SyncedMark {
  /** All of the log is committed and synced; `frames` is its length. */
  advance(frames: number): void;
  /** The log was found whole, or is about to be moved into the file: it may be gone from now on. Throws Node's error. */
  clear(): void;
  close(): void;
}

interface Mark {
  readonly frames: number;
  /** Those of the log. */
  readonly salts: string;
}

const MARK = /^((\d{10}) ([0-9a-f]{16})) ([0-9a-f]{8})\n$/;

/** As long as a mark, so that a full disk takes either. */
const NOTHING = `${'-'.repeat(36)}\n`;

const fileOf = (directory: string): string => path.join(directory, 'journal.synced');
const sumOf = (text: string): string => crc32(text).toString(16).padStart(8, '0');

/** Null where there is none; what a power cut has left of one says nothing either. */
const readMark = (directory: string): Mark | null => {
  let text = '';
  try {
    text = readFileSync(fileOf(directory), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const [, said = '', frames = '', salts = '', sum] = MARK.exec(text) ?? [];
  return sum === sumOf(said) ? { frames: Number(frames), salts } : null;
};

const damaged = (wal: string, what: string, directory: string): StoreFailedError =>
  new StoreFailedError(
    `${wal} is damaged: ${what}; restore the directory, or remove ${fileOf(directory)} to go on without what is lost`,
  );

const describe = ({ size, frameSize, committed, beyond }: WalScan): string =>
  `${size - frameOffset(committed + 1, frameSize)} bytes from byte ${frameOffset(committed + 1, frameSize)} on (${beyond} frames)`;

/**
 * Checks the log before SQLite opens it. Answers what SQLite is going to cut from its end, which was never acknowledged,
 * as a text for people; null where there is nothing. Throws a `StoreFailedError` that names file and place where something
 * is missing or damaged that was synced.
 */
export const checkLog = (directory: string): string | null => {
  const wal = walFile(directory);
  return guarded(`the log ${wal} could not be read`, () => {
    const mark = readMark(directory);
    const scan = scanWal(wal);
    const place = (frame: number, of: number, frameSize: number): string =>
      `frame ${frame} of ${of} (byte ${frameOffset(frame, frameSize)})`;
    if (scan === null || scan.size === 0) {
      if (mark === null) return null;
      throw damaged(wal, `it is ${scan === null ? 'gone' : 'empty'}, with ${mark.frames} frames`, directory);
    }
    if (scan.salts === null) {
      if (mark === null) return `${wal}: its header does not check, all of its ${scan.size} bytes are cut`;
      throw damaged(wal, `its header (byte 0) does not check, before ${mark.frames} frames`, directory);
    }
    // A log of other salts was begun later, when all of the one before was in the file.
    if (mark?.salts === scan.salts && mark.frames > scan.committed)
      throw damaged(wal, `${place(scan.whole + 1, mark.frames, scan.frameSize)} does not check`, directory);
    return scan.beyond === 0 ? null : `${wal}: ${describe(scan)} were not committed and are cut`;
  });
};

export const openSyncedMark = (directory: string): SyncedMark => {
  // Made where it is missing, and then written from its beginning.
  closeSync(openSync(fileOf(directory), 'a', 0o600));
  const handle = openSync(fileOf(directory), 'r+');
  let log: number | null = null;
  let isClear = false;
  return {
    advance: (frames) => {
      try {
        log ??= openSync(walFile(directory), 'r');
        const salts = readSalts(log);
        if (salts === null) return;
        const said = `${String(frames).padStart(10, '0')} ${salts}`;
        isClear = false;
        writeSync(handle, `${said} ${sumOf(said)}\n`, 0);
      } catch {
        // The mark before it is still true, and what is committed is committed.
      }
    },
    clear: () => {
      if (isClear) return;
      writeSync(handle, NOTHING, 0);
      // On the disk before the log may be gone from it: a mark that outlives its log would speak of damage.
      fsyncSync(handle);
      isClear = true;
    },
    close: () => {
      closeSync(handle);
      if (log !== null) closeSync(log);
    },
  };
};
