import { globSync, writeFileSync } from 'node:fs';

/** The wall clock of the processes that are started with `env`, moved while they run; the monotonic clock is let alone. */
export interface MovedClock {
  readonly env: Readonly<Record<string, string>>;
  /** From now on this many seconds ahead of the true time; below 0 behind it. */
  move(seconds: number): void;
}

const LIBRARIES = ['/usr/lib/*/faketime/libfaketimeMT.so.1', '/usr/lib*/faketime/libfaketimeMT.so.1'];

/** By libfaketime, told by a file of this name; throws where it is not installed. */
export const createMovedClock = (file: string): MovedClock => {
  const [library] = globSync(LIBRARIES);
  if (library === undefined) throw new Error('libfaketime is not installed');
  const move = (seconds: number): void => writeFileSync(file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}s\n`);
  move(0);
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      // Without it the file is read once in ten seconds.
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_RESET: '1',
      NO_FAKE_STAT: '1',
    },
    move,
  };
};
