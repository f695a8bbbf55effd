import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import {
  decodeHttpRequest,
  encodeHttpRequest,
  pathFields,
  preferredWait,
} from '../../../src/operations/http-request.ts';
import type { Operation } from '../../../src/operations/operation.ts';
import { OPERATION_TABLE } from '../../../src/operations/table.ts';

const test = suite('http-request');

/** What a server makes of an encoded request. */
const receive = (operation: Operation, input: Record<string, unknown>) => {
  const request = encodeHttpRequest(operation, input);
  const url = new URL(request.path, 'http://localhost');
  const pattern = new RegExp(`^${operation.http.path.replace(/\{\w+\}/g, '([^/]+)')}$`);
  const values = pattern.exec(url.pathname)?.slice(1).map(decodeURIComponent) ?? [];
  return decodeHttpRequest(operation, {
    params: Object.fromEntries(pathFields(operation).map((field, index) => [field, values[index]])),
    query: Object.fromEntries(url.searchParams),
    prefer: request.headers['prefer'],
    body: request.body === undefined ? undefined : JSON.parse(request.body),
  });
};

const ID = 'ses_01K0000000000000000000ABCD';

test('what a caller encodes is what the server decodes', () => {
  fc.assert(
    fc.property(
      fc.record({
        command: fc.string(),
        args: fc.dictionary(fc.string(), fc.jsonValue()),
        priority: fc.integer(),
        wait: fc.integer({ min: 0, max: 60 }),
        dry_run: fc.boolean(),
        idempotency_key: fc.string(),
      }),
      (fields) => {
        const input = JSON.parse(JSON.stringify({ session_id: ID, ...fields })) as Record<string, unknown>;
        assert.equal(receive(OPERATION_TABLE['commands.execute'], input), input);
      },
    ),
  );
  const events = { session_id: ID, after: 7, limit: 10, types: 'client_left,session_closed' };
  assert.equal(receive(OPERATION_TABLE['events.list'], events), events);
});

test('a path parameter cannot be overruled by body or query', () => {
  const operation = OPERATION_TABLE['commands.execute'];
  const input = decodeHttpRequest(operation, {
    params: { session_id: ID },
    query: {},
    prefer: undefined,
    body: { session_id: 'ses_other', command: 'help' },
  });
  assert.equal(input, { session_id: ID, command: 'help' });
});

test('a query parameter that the binding does not have is refused by its name', () => {
  const operation = OPERATION_TABLE['commands.execute'];
  const input = decodeHttpRequest(operation, {
    params: { session_id: ID },
    query: { command: 'chat', limt: '3' },
    prefer: undefined,
    body: { command: 'help' },
  });
  const checked = operation.input.safeParse(input);
  assert.is(checked.success, false);
  assert.match(JSON.stringify(checked.error?.issues), /command \(query\).*limt/);
});

test('Prefer as RFC 7240 says', () => {
  assert.is(preferredWait(undefined), null);
  assert.is(preferredWait('wait=10'), 10);
  assert.is(preferredWait('wait=600'), 60);
  assert.is(preferredWait('respond-async'), 0);
  assert.is(preferredWait('Respond-Async, Wait="5"; foo=bar'), 5);
  assert.is(preferredWait('handling=lenient'), null);
  assert.is(preferredWait('wait=-1'), null);
  assert.is(preferredWait('wait=soon'), null);
});

test.run();
