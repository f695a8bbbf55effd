import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { within } from './mqtt-wire.ts';

/** System calls of a running process that fail from now on, by strace(1). */
export interface FailingCalls extends AsyncDisposable {
  /** Lets them succeed again. */
  end(): Promise<void>;
}

/** Makes every call of these fail in a process with all its threads: `calls` as in `fsync,fdatasync`, `error` as in `EIO`. */
export const failCalls = async (pid: number, calls: string, error: string): Promise<FailingCalls> => {
  const args = [
    '-f',
    '-p',
    `${pid}`,
    '-e',
    `trace=${calls}`,
    '-e',
    `inject=${calls}:error=${error}`,
    '-o',
    '/dev/null',
  ];
  const tracer = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const kill = (): void => void tracer.kill('SIGKILL');
  process.once('exit', kill);
  const closed = once(tracer, 'close').finally(() => process.off('exit', kill));
  let said = '';
  const attached = new Promise<void>((resolve, reject) => {
    tracer.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('attached')) resolve();
    });
    const ended = (): void => reject(new Error(`strace cannot attach: ${said}`));
    closed.then(ended, ended);
  });
  await within('strace', attached);
  const end = async (): Promise<void> => {
    tracer.kill('SIGTERM');
    await within('end of strace', closed);
  };
  return { end, [Symbol.asyncDispose]: end };
};
