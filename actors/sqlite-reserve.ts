import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Enough to move what the log holds into the tables, chunk by chunk. */
const RESERVE_BYTES = 4 * 1_048_576;

/**
 * Room on the disk that is given up when the disk is full, so that what is committed can still be brought into the
 * tables and read. Until it can be taken again, nothing new may be written.
 */
export interface Reserve {
  /** Takes the room where it is not held. Throws the file system's error when there is none. */
  hold(): void;
  /** Gives the room up; false when it was not held. */
  release(): boolean;
}

export const createReserve = (directory: string): Reserve => {
  const file = path.join(directory, 'journal.reserve');
  let held = existsSync(file);
  return {
    hold: () => {
      if (held) return;
      try {
        writeFileSync(file, Buffer.alloc(RESERVE_BYTES), { mode: 0o600 });
        held = true;
      } catch (error) {
        rmSync(file, { force: true });
        throw error;
      }
    },
    release: () => {
      if (!held) return false;
      rmSync(file, { force: true });
      held = false;
      return true;
    },
  };
};
