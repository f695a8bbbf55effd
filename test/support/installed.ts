import { execFileSync } from 'node:child_process';

/**
 * What a test needs of the machine: whatever `probe` answers, or null where it throws. On a build server that is a
 * failure; elsewhere the test is skipped under its name, with the reason.
 */
export const can = <T>(test: string, lack: string, probe: () => T): T | null => {
  try {
    return probe();
  } catch (cause) {
    if (process.env['CI']) throw new Error(`${test}: ${lack}`, { cause });
    process.stdout.write(`# skip ${test}: ${lack}\n`);
    return null;
  }
};

/** Whether a program is there, whatever its exit code for these words. */
export const hasProgram = (test: string, name: string, args: readonly string[] = ['--version']): boolean =>
  can(test, `${name} is not installed`, () => {
    try {
      execFileSync(name, [...args], { stdio: 'ignore' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    }
    return true;
  }) ?? false;
