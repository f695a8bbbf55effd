import { createHttpClient } from '../client/index.ts';
import { EXIT } from './errors.ts';
import type { Settings } from './settings.ts';

/** `arbor cancel`: cancels an execution. Resolves with the exit code. */
export const cancel = async (settings: Settings, execution_id: string): Promise<number> => {
  const { status } = await createHttpClient(settings).executions.cancel({ execution_id });
  process.stdout.write(`${execution_id} ${status}\n`);
  return EXIT.ok;
};
