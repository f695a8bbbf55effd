import { z } from 'zod';

export type Json = Record<string, unknown>;

/** Where the named schemas of an OpenAPI or AsyncAPI document are. */
export const COMPONENTS = '#/components/schemas/';

export interface SchemaWriter {
  /** The JSON Schema of a zod schema; one that has an id is a reference to its component. */
  of(schema: z.ZodType, io: 'input' | 'output'): Json;
  /** The named schemas that were met so far. */
  readonly components: Json;
}

/** `draft-2020-12` is what OpenAPI 3.1 speaks, `draft-7` what AsyncAPI 3.0 does. */
export const createSchemaWriter = (target: 'draft-2020-12' | 'draft-7'): SchemaWriter => {
  const components: Json = {};
  const part = (json: Json): Json => {
    const { id, $id: _, $schema: __, $defs = {}, definitions = $defs, ...body } = json as Json & { id?: string };
    for (const [name, named] of Object.entries(definitions as Record<string, Json>)) part({ id: name, ...named });
    if (id === undefined) return body;
    components[id] = body;
    return { $ref: COMPONENTS + id };
  };
  return {
    of: (schema, io) => {
      const json = JSON.stringify(z.toJSONSchema(schema, { io, target, reused: 'inline', unrepresentable: 'any' }));
      return part(JSON.parse(json.replaceAll(/"#\/(?:\$defs|definitions)\//g, `"${COMPONENTS}`)) as Json);
    },
    components,
  };
};
