import { z } from 'zod';
import { commandsExecute } from './commands.ts';
import { eventTypesSchema } from './events.ts';
import { EXPORT_FORMATS } from './export-formats.ts';
import { defineOperation } from './operation.ts';

/** The artifact of an execution of `export` (contract, section 2, "Built-in arguments"). */
export const EXPORT_ARTIFACT = 'export';

const formats = `one of ${EXPORT_FORMATS.join(', ')}`;
const seq = (expected: string) => z.int(expected).nonnegative(expected);

/** The arguments of the command `export`, which are also those of `exports.create`. */
export const exportFields = {
  format: z.enum(EXPORT_FORMATS, formats).describe('How the events are written down'),
  types: eventTypesSchema.optional().describe('Only events of these types'),
  after: seq('a seq, from 0').optional().describe('Only events with a seq above this one'),
  until: seq('a seq, from 0').optional().describe('Only events up to this seq; default the last when it begins'),
};

/** How the names of an export's fields meet those of `commands.execute`: everything but the command itself. */
const { command: _command, args: _args, ...run } = commandsExecute.input.shape;

export const exportsCreate = defineOperation({
  name: 'exports.create',
  summary: 'Exports the events of a session to the artifact `export` of an execution; as the command `export`',
  input: z.strictObject({ ...run, ...exportFields }),
  output: commandsExecute.output,
  sight: 'session',
  right: 'command',
  http: { ...commandsExecute.http, path: '/v1/sessions/{session_id}/exports' },
  errors: commandsExecute.errors,
});
