import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { within } from './mqtt-wire.ts';

/** Whether Mosquitto's clients are installed. On a build server they must be. */
export const hasMosquitto = (name = 'mosquitto_sub'): boolean => {
  try {
    execFileSync(name, ['--help'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    // It ends with 1 when it only explains itself.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return true;
    if (process.env['CI']) throw new Error('mosquitto-clients are not installed', { cause: error });
    return false;
  }
};

export interface Program {
  readonly child: ChildProcess;
  /** Resolves with what it has written so far, once that contains this text. */
  said(text: string): Promise<string>;
  /** Resolves with its exit code, its output and its errors. */
  ended(): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>;
}

/** Starts a program that does not outlive the test's process. */
export const program = (command: string, args: readonly string[], input = ''): Program => {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  let wake: () => void = () => {};
  child.stdout.on('data', (chunk) => {
    out += chunk;
    wake();
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
    wake();
  });
  child.stdin.on('error', () => {}).end(input);
  const closed = once(child, 'close').finally(() => wake());
  const stop = (): void => void child.kill('SIGKILL');
  process.once('exit', stop);
  child.once('close', () => process.off('exit', stop));
  const said = async (text: string): Promise<string> => {
    while (!out.includes(text)) {
      if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}: ${err}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return out;
  };
  return {
    child,
    said: (text) => within(`"${text}" from ${command}`, said(text)),
    ended: async () => {
      await within(`end of ${command}`, closed, 30_000);
      return { code: child.exitCode, out, err };
    },
  };
};
