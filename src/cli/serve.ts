import { flushCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { keepCompiledCode } from './compiled-code.ts';
import { EXIT } from './errors.ts';
import { DEFAULT_URL } from './settings.ts';
import { oneLine } from './text.ts';

export interface ServeFlags {
  readonly data?: string;
  readonly http?: string;
  readonly mqtt?: string;
  readonly config?: string;
}

/**
 * While it starts, the young generations of all threads stay as small as they begin: they would grow to tens of megabytes
 * with what modules leave behind, which is there to stay, and keep that for good. Under load they may grow again.
 */
const growYoungGenerations = (factor: 1 | 2): void => setFlagsFromString(`--semi-space-growth-factor=${factor}`);

/**
 * `arbor serve`: runs the server until SIGTERM or SIGINT, then drains; a second signal does not wait for that. Resolves
 * with the exit code.
 */
export const serve = async (flags: ServeFlags): Promise<number> => {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  let isReady = false;
  let signals = 0;
  const onSignal = (): void => {
    signals += 1;
    // Before it is ready nothing was accepted, so there is nothing to drain.
    if (!isReady) process.exit(EXIT.ok);
    if (signals > 1) process.exit(EXIT.interrupted);
    stop();
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  keepCompiledCode();
  growYoungGenerations(1);
  const { startServer } = await import('../start.ts');
  const onFatal = (error: Error): void => {
    process.stderr.write(`arbor: the server cannot go on: ${oneLine(error.message, 500)}\n`);
    process.exit(EXIT.failed);
  };
  const server = await startServer({ ...flags, onFatal });
  growYoungGenerations(2);
  isReady = true;
  const url = server.http === DEFAULT_URL ? '' : ` --url ${server.http}`;
  const hint = `in a second terminal: npx arbor${url} run analyze .`;
  process.stdout.write(`arbor is ready: ${server.http} and ${server.mqtt}; ${hint}\n`);
  // A process that is killed writes nothing on its way out.
  flushCompileCache();
  await stopped;
  await server.close();
  return EXIT.ok;
};
