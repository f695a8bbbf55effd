import type { Reply } from './wire.ts';

/** Whether a field names something by its id. */
export const isId = (field: string): boolean => field.endsWith('_id');

/** An id of the same form that nothing has. */
export const absent = (id: string): string => `${id.slice(0, -1)}${id.endsWith('0') ? '1' : '0'}`;

/** The input with ids that nothing has in these fields. */
export const withAbsent = (input: Record<string, unknown>, fields: readonly string[]): Record<string, unknown> => ({
  ...input,
  ...Object.fromEntries(fields.map((field) => [field, absent(String(input[field]))])),
});

/** An answer, with each id that these fields asked for by the field's name. */
export const shownBut = ({ shown }: Reply, input: Record<string, unknown>, fields: readonly string[]): string =>
  fields.reduce((text, field) => text.replaceAll(String(input[field]), field), shown);
