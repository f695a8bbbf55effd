import { EXIT } from './errors.ts';

/**
 * Calls for the first Ctrl-C; the second leaves at once with 130. Returns the way to end it.
 */
export const onInterrupt = (first: () => void): (() => void) => {
  let count = 0;
  const onSignal = (): void => {
    count += 1;
    if (count > 1) process.exit(EXIT.interrupted);
    first();
  };
  process.on('SIGINT', onSignal);
  return () => process.off('SIGINT', onSignal);
};
