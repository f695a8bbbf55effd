import { z } from 'zod';
import { pathFields } from '../../../../src/operations/http-request.ts';
import type { Operation } from '../../../../src/operations/operation.ts';

/** What a field of an input is filled with, made when it is asked for. */
export type Fillers = Readonly<Record<string, () => unknown>>;

/** Optional fields that are filled wherever an input has them: nothing waits here. */
const ALWAYS: Readonly<Record<string, unknown>> = { wait: 0 };

/** The field with which a call only asks whether it would be accepted. */
export const DRY = 'dry_run';

/** Fields of an operation's input by name, and which of them it needs. */
export const fieldsOf = ({ input }: Pick<Operation, 'input'>) => {
  const { properties = {}, required = [] } = z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' });
  return { all: Object.keys(properties), required };
};

/**
 * An input that the operation's schema accepts: the fields of its path, those that it requires, and those that a
 * refinement of it asks for. Throws where a field has no filler.
 */
export const inputOf = async (
  operation: Pick<Operation, 'name' | 'input' | 'http'>,
  fillers: Fillers,
  dry = false,
): Promise<Record<string, unknown>> => {
  const input: Record<string, unknown> = {};
  const fill = async (field: string): Promise<void> => {
    const filler = fillers[field];
    if (filler === undefined) throw new Error(`${operation.name}: the field "${field}" has no filler`);
    input[field] = await filler();
  };
  const { all, required } = fieldsOf(operation);
  for (const field of new Set([...pathFields(operation as Operation), ...required])) await fill(field);
  for (const field of all) if (field in ALWAYS) input[field] = ALWAYS[field];
  if (dry) input[DRY] = true;
  for (;;) {
    const checked = operation.input.safeParse(input);
    if (checked.success) return input;
    const missing = checked.error.issues.map(({ path }) => String(path[0])).filter((field) => !(field in input));
    if (missing.length === 0)
      throw new Error(`${operation.name}: no input is filled in: ${z.prettifyError(checked.error)}`);
    for (const field of new Set(missing)) await fill(field);
  }
};
