import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbeddedBroker } from '../../../brokers/embedded.ts';
import { repliesTopic, requestsTopic } from '../../../machines/topic.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { startGateway, type Json } from '../../support/gateway.ts';
import { CONNECT, dialTcp, publish, subscribe } from '../../support/mqtt-wire.ts';

/** What nobody can share by: an unknown constraint is refused, never ignored, and so is a known one that says nothing. */
const test = suite('input of shares');

const access = createMqttAccess();
const broker = await createEmbeddedBroker({ policy: access.policy });
const on = await startGateway({ mqtt: { access, server: broker, host: '127.0.0.1', port: 0 } }, broker);
const own = await on.open();
const client = await dialTcp(on.mqtt?.port ?? 0);
client.send({ ...CONNECT, clientId: own.client_id, username: own.client_id, password: own.client_token });
await client.expect('connack');
await subscribe(client, { [repliesTopic(own.session_id, own.client_id)]: 0 });
test.after(async () => {
  client.destroy();
  await on.close();
  await broker.close();
});

const path = `/v1/sessions/${own.session_id}/shares`;
let asked = 0;
const rpc = async (params: string): Promise<Json> => {
  const request = `{"jsonrpc":"2.0","id":${++asked},"method":"shares.create","params":${params}}`;
  client.send(publish(requestsTopic(own.session_id, own.client_id), request));
  return JSON.parse(String((await client.expect('publish'))['payload']));
};

const constraint = (fields: string): string => `{"constraints":{${fields}}}`;
const YESTERDAY = '2020-01-01T00:00:00Z';

const REFUSED: readonly (readonly [what: string, input: string, field: string])[] = [
  ['an unknown constraint', constraint('"colour":1'), 'constraints.colour'],
  ['one that is null', constraint('"max_depth":null'), 'constraints.max_depth'],
  ['one in another spelling', constraint('"Max_Operations":1'), 'constraints.Max_Operations'],
  ['one with a space', constraint('"read_only ":true'), 'constraints.read_only '],
  ['one named as a method', constraint('"constructor":1'), 'constraints.constructor'],
  ['constraints that are none', '{"constraints":[]}', 'constraints'],
  ['constraints that are a text', '{"constraints":"read_only"}', 'constraints'],
  ['an unknown operation', '{"operations":["fly"]}', 'operations.0'],
  ['one unknown among known ones', '{"operations":["read","*"]}', 'operations.1'],
  ['no operation', '{"operations":[]}', 'operations'],
  ['operations that are a text', '{"operations":"read"}', 'operations'],
  ['a pattern with a star in its middle', '{"scope":["a*b"]}', 'scope.0'],
  ['a pattern that begins with a star', '{"scope":["*a"]}', 'scope.0'],
  ['two stars', '{"scope":["help","**"]}', 'scope.1'],
  ['an empty pattern', '{"scope":[""]}', 'scope.0'],
  ['a pattern that is a number', '{"scope":[7]}', 'scope.0'],
  ['a pattern without end', `{"scope":["${'a'.repeat(201)}"]}`, 'scope.0'],
  ['patterns without end', `{"scope":[${Array(101).fill('"a"').join()}]}`, 'scope'],
  ['a scope that is a text', '{"scope":"*"}', 'scope'],
  ['an unknown resource', '{"resource_type":"shell"}', 'resource_type'],
  ['expires_in of nothing', constraint('"expires_in":0'), 'constraints.expires_in'],
  ['expires_in below', constraint('"expires_in":-1'), 'constraints.expires_in'],
  ['expires_in with a fraction', constraint('"expires_in":0.5'), 'constraints.expires_in'],
  ['expires_in beyond all time', constraint('"expires_in":1e99'), 'constraints.expires_in'],
  ['expires_in beyond all numbers', constraint('"expires_in":1e999'), 'constraints.expires_in'],
  ['expires_in as a text', constraint('"expires_in":"60"'), 'constraints.expires_in'],
  ['expires_at in the past', constraint(`"expires_at":"${YESTERDAY}"`), 'constraints.expires_at'],
  ['expires_at that is no time', constraint('"expires_at":"tomorrow"'), 'constraints.expires_at'],
  ['expires_at on no day', constraint('"expires_at":"2999-02-30T00:00:00Z"'), 'constraints.expires_at'],
  ['expires_at as a number', constraint('"expires_at":4102444800'), 'constraints.expires_at'],
  [
    'expires_at and expires_in',
    constraint('"expires_at":"2999-01-01T00:00:00Z","expires_in":60'),
    'constraints.expires_in',
  ],
  [
    'not_before after the end',
    constraint('"not_before":"2999-01-01T00:00:00Z","expires_in":60'),
    'constraints.not_before',
  ],
  ['max_risk unknown', constraint('"max_risk":"none"'), 'constraints.max_risk'],
  ['max_risk in capitals', constraint('"max_risk":"HIGH"'), 'constraints.max_risk'],
  ['max_operations of nothing', constraint('"max_operations":0'), 'constraints.max_operations'],
  ['max_operations without end', constraint('"max_operations":1e99'), 'constraints.max_operations'],
  ['rate_limit below', constraint('"rate_limit":-5'), 'constraints.rate_limit'],
  ['max_concurrent with a fraction', constraint('"max_concurrent":1.5'), 'constraints.max_concurrent'],
  ['require_confirmations of nothing', constraint('"require_confirmations":0'), 'constraints.require_confirmations'],
  ['read_only as a text', constraint('"read_only":"yes"'), 'constraints.read_only'],
  ['may_share as a number', constraint('"may_share":1'), 'constraints.may_share'],
  ['require_webhook as null', constraint('"require_webhook":null'), 'constraints.require_webhook'],
  ['an unknown field', '{"constraint":{"read_only":true}}', 'constraint'],
  ['an empty label', '{"label":""}', 'label'],
  ['a label without end', `{"label":"${'x'.repeat(101)}"}`, 'label'],
];

for (const [what, input, field] of REFUSED)
  test(`400 that names ${field}: ${what}`, async () => {
    const answer = await on.call('POST', path, { body: input });
    assert.equal([answer.status, answer.body.code], [400, 'invalid_input'], answer.text);
    const { error } = await rpc(input);
    assert.equal([error.code, error.data.code], [-32602, 'invalid_input']);
    for (const { errors } of [answer.body, error.data])
      assert.equal([...new Set(errors.map((each: Json) => each.field))], [field], answer.text);
  });

test('a prototype is no way to a constraint', async () => {
  const input = constraint('"__proto__":{"may_share":true}');
  assert.is((await on.call('POST', path, { body: input })).status, 400);
  const { error } = await rpc(input);
  assert.is(error.data.errors[0].field, 'constraints.__proto__');
});

test('afterwards there is no share, and no word of one', async () => {
  assert.equal((await on.call('GET', path)).body.items, []);
  const { events } = (await on.call('GET', `/v1/sessions/${own.session_id}/events?types=share_created`)).body;
  assert.equal(events, []);
  assert.is((await on.call('POST', path, { body: {} })).status, 201);
});

test.run();
