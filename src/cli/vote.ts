import { createHttpClient } from '../client/index.ts';
import type { Coordination, Vote } from '../../machines/question.ts';
import { EXIT } from './errors.ts';
import type { Settings } from './settings.ts';
import { oneLine } from './text.ts';

export interface VoteFlags {
  readonly comment?: string;
  readonly json?: boolean;
}

/** How a question stands, on one line. */
export const standingLine = (question: Coordination): string => {
  const { coordination_id, status, operation, confirmations, rejections, required_confirmations } = question;
  const votes = `${confirmations.length} of ${required_confirmations} confirmations, ${rejections.length} rejections`;
  return `${coordination_id} ${status}: ${oneLine(operation, 60)} (${votes})`;
};

/** `arbor confirm` and `arbor reject`: votes on a question. Resolves with the exit code. */
export const vote = async (
  settings: Settings,
  said: Vote,
  coordination_id: string,
  { comment, json = false }: VoteFlags,
): Promise<number> => {
  const { coordinations } = createHttpClient(settings);
  const voted = await coordinations.vote({
    coordination_id,
    vote: said,
    ...(comment === undefined ? {} : { comment }),
  });
  process.stdout.write(`${json ? JSON.stringify(voted) : standingLine(voted)}\n`);
  return EXIT.ok;
};
