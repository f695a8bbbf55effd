import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Validator } from '@seriousme/openapi-schema-validator';
import { openApiDocument } from '../../../src/operations/openapi.ts';
import { OPERATION_TABLE } from '../../../src/operations/table.ts';

const test = suite('openapi');

const document = openApiDocument('1.2.3') as {
  openapi: string;
  paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>;
  components: { schemas: Record<string, unknown> };
};

test('is a valid OpenAPI 3.1 document', async () => {
  const checked = await new Validator().validate(structuredClone(document));
  assert.is(checked.valid, true, JSON.stringify(checked.errors));
  assert.is(document.openapi, '3.1.0');
});

test('every reference points at a component', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] as string);
  assert.ok(references.length > 10);
  for (const reference of references)
    assert.ok(document.components.schemas[reference.replace('#/components/schemas/', '')], reference);
});

test('has every operation of the table once, with its statuses and 401', () => {
  const described = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  assert.equal(described.map(({ operationId }) => operationId).toSorted(), Object.keys(OPERATION_TABLE).toSorted());
  const execute = document.paths['/v1/sessions/{session_id}/commands']?.['post'];
  for (const status of ['200', '202', '400', '401', '403', '404', '409', '503'])
    assert.ok(execute?.responses[status], status);
});

test.run();
