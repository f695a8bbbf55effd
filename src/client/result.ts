import { ProblemError } from '../../machines/error.ts';
import type { Execution } from '../operations/executions.ts';
import { errorOf, problemIn } from './failure.ts';
import type { Client } from './client.ts';

/** The artifact that holds a result above the inline bound (contract, section 2). */
const RESULT = 'result';

type Ended = Pick<Execution, 'execution_id' | 'status' | 'result' | 'result_url' | 'error'>;

/** The problem that ended an execution which did not complete. */
export const errorOfExecution = ({ status, error }: Pick<Execution, 'status' | 'error'>): ProblemError => {
  const answered = problemIn(error);
  return answered === null ? new ProblemError('conflict', `the execution is ${status}`) : errorOf(answered);
};

/**
 * The result of an execution that has ended, also where it is too large to be inline; that needs HTTP. Rejects with the
 * problem that ended it otherwise.
 */
export const resultOf = async (client: Pick<Client, 'call'>, execution: Ended): Promise<unknown> => {
  const { execution_id, status, result, result_url } = execution;
  if (status !== 'completed') throw errorOfExecution(execution);
  if (result_url === undefined) return result;
  const bytes = await client.call('artifacts.get', { execution_id, name: RESULT });
  return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
};
