import { EXIT } from './errors.ts';

export interface ServeFlags {
  readonly data?: string;
  readonly http?: string;
  readonly mqtt?: string;
  readonly config?: string;
}

/** `arbor serve`: runs the server until SIGTERM or SIGINT, then drains. Resolves with the exit code. */
export const serve = async (flags: ServeFlags): Promise<number> => {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  let signals = 0;
  const onSignal = (): void => {
    signals += 1;
    if (signals > 1) process.exit(EXIT.interrupted);
    stop();
  };
  // Before the start, so that a signal that comes meanwhile still leaves nothing behind.
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  const { startServer } = await import('../start.ts');
  const server = await startServer({
    ...flags,
    // Crash-only: what is on disk is right, and the next start goes on from it.
    onFatal: (error) => {
      process.stderr.write(`arbor: ${error.message}\n`);
      process.exit(EXIT.failed);
    },
  });
  process.stdout.write(`arbor is ready: ${server.http} and ${server.mqtt}\n`);
  await stopped;
  await server.close();
  return EXIT.ok;
};
