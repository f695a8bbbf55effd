import { ERRORS, type ErrorCode } from '../../machines/error.ts';
import { problemSchema } from '../../machines/error-schema.ts';
import { pathFields } from './http-request.ts';
import { COMPONENTS, createSchemaWriter, type Json, type SchemaWriter } from './json-schema.ts';
import { COMMON_ERRORS, type Operation } from './operation.ts';
import { OPERATION_TABLE } from './table.ts';

const problemAnswers = (operation: Operation): Json => {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...COMMON_ERRORS, ...operation.errors])
    byStatus.set(ERRORS[code].status, [...(byStatus.get(ERRORS[code].status) ?? []), code]);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      {
        description: codes.map((code) => `\`${code}\`: ${ERRORS[code].title}`).join('. '),
        ...(codes.some((code) => ERRORS[code].retry)
          ? { headers: { 'Retry-After': { schema: { type: 'integer' } } } }
          : {}),
        content: { 'application/problem+json': { schema: { $ref: `${COMPONENTS}Problem` } } },
      },
    ]),
  );
};

const answers = (operation: Operation, schemas: SchemaWriter): Json => {
  const { http } = operation;
  return Object.fromEntries(
    Object.entries(http.answers).map(([status, schema]) => {
      const content: Json = http.binary
        ? { 'application/octet-stream': { schema: {} } }
        : { 'application/json': { schema: schemas.of(schema, 'output') } };
      if (http.stream) content['text/event-stream'] = { schema: { type: 'string' } };
      return [status, { description: operation.summary, content }];
    }),
  );
};

const RANGE_HEADERS = [
  ['Range', 'One range of bytes (RFC 9110, section 14.2); 206 answers it'],
  ['If-Range', 'The ETag of the content that the range is of; of any other the whole is answered'],
] as const;

const describe = (operation: Operation, schemas: SchemaWriter): Json => {
  const { http } = operation;
  const inPath = pathFields(operation);
  const inQuery = Object.keys(http.query ?? {});
  const input = schemas.of(operation.input, 'input') as { properties?: Json; required?: string[] };
  const { properties = {}, required = [] } = input;
  const parameters: Json[] = [
    ...inPath.map((name) => ({ name, in: 'path', required: true, schema: properties[name] })),
    ...inQuery.map((name) => ({ name, in: 'query', required: required.includes(name), schema: properties[name] })),
  ];
  if (http.prefer)
    parameters.push({
      name: 'Prefer',
      in: 'header',
      description: '`wait=N` seconds, at most 60, or `respond-async` (RFC 7240)',
      schema: { type: 'string' },
    });
  if (http.binary)
    for (const [name, description] of RANGE_HEADERS)
      parameters.push({ name, in: 'header', description, schema: { type: 'string' } });
  if (http.stream)
    parameters.push({
      name: 'Last-Event-ID',
      in: 'header',
      description: 'The `seq` after which a stream goes on',
      schema: { type: 'string' },
    });
  const body = {
    ...input,
    properties: Object.fromEntries(Object.entries(properties).filter(([name]) => !inPath.includes(name))),
    required: required.filter((name) => !inPath.includes(name)),
  };
  return {
    operationId: operation.name,
    tags: [operation.name.split('.')[0]],
    summary: operation.summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(http.method === 'POST'
      ? { requestBody: { required: true, content: { 'application/json': { schema: body } } } }
      : {}),
    responses: { ...answers(operation, schemas), ...problemAnswers(operation) },
    // Credentials are welcome there, not needed.
    ...(operation.right === 'share_token' ? { security: [{ bearer: [] }, {}] } : {}),
    'x-right': operation.right,
  };
};

/** The OpenAPI 3.1 document of the HTTP binding, made from the table of operations and the table of errors. */
export const openApiDocument = (version: string): Json => {
  const schemas = createSchemaWriter('draft-2020-12');
  schemas.of(problemSchema, 'output');
  const paths: Record<string, Json> = {};
  for (const operation of Object.values(OPERATION_TABLE) as readonly Operation[]) {
    if (!operation.bindings.includes('http')) continue;
    const { path, method } = operation.http;
    paths[path] = { ...paths[path], [method.toLowerCase()]: describe(operation, schemas) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Arbor Gateway', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    paths,
    components: {
      schemas: schemas.components,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key, or the token of a client' },
      },
    },
  };
};
