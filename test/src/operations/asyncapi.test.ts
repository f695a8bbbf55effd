import { Ajv } from 'ajv';
import specification from '@asyncapi/specs/schemas/3.0.0.json' with { type: 'json' };
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EVENT_TYPES } from '../../../machines/event-type.ts';
import { asyncApiDocument } from '../../../src/operations/asyncapi.ts';
import type { Operation } from '../../../src/operations/operation.ts';
import { OPERATION_TABLE } from '../../../src/operations/table.ts';

const test = suite('asyncapi');

/** The specification's schema brings its own meta-schema. */
const LENIENT = { strict: false, validateFormats: false, meta: false, validateSchema: false } as const;

interface Channel {
  readonly address: string;
  readonly parameters: Record<string, unknown>;
  readonly messages: Record<string, { $ref: string }>;
}
const document = asyncApiDocument('1.2.3') as {
  asyncapi: string;
  channels: Record<string, Channel>;
  operations: Record<
    string,
    { action: string; messages: { $ref: string }[]; reply?: { messages: { $ref: string }[] } }
  >;
};

/** What a JSON Pointer in a URI fragment stands for (RFC 6901, section 6). */
const at = (reference: string): unknown =>
  reference
    .slice(2)
    .split('/')
    .reduce<unknown>(
      (value, key) => (value as Record<string, unknown> | undefined)?.[decodeURIComponent(key)],
      document,
    );

test('is a valid AsyncAPI 3.0 document', () => {
  const check = new Ajv(LENIENT).compile(specification);
  assert.ok(check(structuredClone(document)), JSON.stringify(check.errors?.slice(0, 5)));
  assert.is(document.asyncapi, '3.0.0');
  const broken = { ...document, channels: { events: { adress: 'a' } } };
  assert.not(check(broken), 'the schema refuses what is none');
});

test('every reference points at something', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] as string);
  assert.ok(references.length > 100);
  for (const reference of references) assert.ok(at(reference), reference);
});

test('has the topics of the contract, each parameter described', () => {
  const addresses = Object.values(document.channels).map(({ address }) => address);
  assert.equal(addresses, [
    'arbor/v1/sessions/{session_id}/events/{type}/{subject}',
    'arbor/v1/sessions/{session_id}/state',
    'arbor/v1/sessions/{session_id}/clients/{client_id}/can',
    'arbor/v1/sessions/{session_id}/clients/{client_id}/requests',
    'arbor/v1/sessions/{session_id}/clients/{client_id}/replies',
    'arbor/v1/actors/{shard}/{session_id}/{kind}/{id}',
  ]);
  for (const { address, parameters } of Object.values(document.channels)) {
    assert.equal(
      Object.keys(parameters),
      [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
    );
    assert.not(Object.values(parameters).includes(undefined), address);
  }
});

test('has every type of event, and every operation of the table that MQTT has with its reply', () => {
  assert.equal(Object.keys(document.channels['events']?.messages ?? {}), EVENT_TYPES);
  const overMqtt = (Object.values(OPERATION_TABLE) as readonly Operation[])
    .filter(({ bindings }) => bindings.includes('mqtt'))
    .map(({ name }) => name);
  const received = Object.entries(document.operations).filter(([, { action }]) => action === 'receive');
  assert.equal(
    received.map(([name]) => name),
    overMqtt,
  );
  for (const [name, { messages, reply }] of received) {
    assert.equal(messages, [{ $ref: `#/channels/requests/messages/${name}.request` }]);
    assert.equal(reply?.messages, [
      { $ref: `#/channels/replies/messages/${name}.result` },
      { $ref: '#/channels/replies/messages/error' },
    ]);
  }
});

test.run();
