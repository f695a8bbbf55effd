import { closeSync, openSync, statfsSync, statSync, truncateSync, writeSync } from 'node:fs';
import path from 'node:path';

/** Enough to move what the log holds into the tables, part by part. */
const RESERVE_BYTES = 16 * 1_048_576;
/** What a small part needs; no more is given up at a time, since others may take what is free. */
const PART_BYTES = 128 * 1_024;
/** What has to be free besides before writing begins again: else the next few writes would fill the disk again. */
const HEADROOM_BYTES = 4 * 1_048_576;

/**
 * Room on the disk that is given up when the disk is full, so that what is committed can still be brought into the
 * tables and read. Until it can be taken again, nothing new may be written.
 */
export interface Reserve {
  /** Takes the room that is not held. Throws `ENOSPC` where there is none, and little besides; what was held stays. */
  hold(): void;
  /** Gives a part of the room up; false when none is left. */
  give(): boolean;
}

export const createReserve = (directory: string): Reserve => {
  const file = path.join(directory, 'journal.reserve');
  let held = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return {
    hold: () => {
      if (held >= RESERVE_BYTES) return;
      const missing = Buffer.alloc(RESERVE_BYTES - held);
      const { bavail, bsize } = statfsSync(directory);
      if (bavail * bsize < missing.length + HEADROOM_BYTES)
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      const handle = openSync(file, 'a', 0o600);
      try {
        for (let written = 0; written < missing.length; ) written += writeSync(handle, missing, written);
        held = RESERVE_BYTES;
      } catch (error) {
        truncateSync(file, held);
        throw error;
      } finally {
        closeSync(handle);
      }
    },
    give: () => {
      if (held === 0) return false;
      held = Math.max(0, held - PART_BYTES);
      truncateSync(file, held);
      return true;
    },
  };
};
