import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { closeArbor, openArbor, startArbor, type ArborContext } from './start-arbor.ts';

const test = suite<ArborContext>('arbor token');

const ID = 'ark_0123456789abcdef0123';
const KEY = `${ID}.the-secret`;
const key = {
  key_id: ID,
  principal: 'grace',
  operator: false,
  created_at: '2026-11-24T00:00:00.000Z',
  revoked_at: null,
};

test.before.each(openArbor);
test.after.each(closeArbor);

test('create: the key alone on standard output, advice without it beside', async (context) => {
  const inputs: unknown[] = [];
  context.gateway.handlers = { 'keys.create': (input) => (inputs.push(input), { ...key, ...input, api_key: KEY }) };
  const plain = await startArbor(context, ['token', 'create', 'grace']).ended;
  assert.equal([plain.code, plain.stdout], [0, `${KEY}\n`], plain.stderr);
  assert.match(plain.stderr, `${ID} of grace; the key is shown this once`);
  assert.not.match(plain.stderr, 'the-secret');
  const operator = await startArbor(context, ['token', 'create', 'ada', '--operator', '--json']).ended;
  assert.is(JSON.parse(operator.stdout).api_key, KEY);
  assert.equal(inputs, [
    { principal: 'grace', operator: false },
    { principal: 'ada', operator: true },
  ]);
});

test('list: revoked ones too; --json', async (context) => {
  const revoked = { ...key, key_id: 'ark_2', operator: true, revoked_at: '2026-11-25T00:00:00.000Z' };
  context.gateway.handlers = { 'keys.list': () => ({ items: [key, revoked], next: null }) };
  const { code, stdout } = await startArbor(context, ['token', 'list']).ended;
  assert.is(code, 0);
  assert.match(stdout, new RegExp(`^key id +principal +operator +created at +revoked at\n${ID} +grace +no `));
  assert.match(stdout, /\nark_2 +grace +yes .*2026-11-25T00:00:00\.000Z\n/);
  assert.equal(JSON.parse((await startArbor(context, ['token', 'list', '--json']).ended).stdout), [key, revoked]);
});

test('revoke: by id; the key itself is neither sent nor repeated', async (context) => {
  const ids: string[] = [];
  context.gateway.handlers = {
    'keys.revoke': ({ key_id }) => (ids.push(key_id), { key_id, revoked_at: '2026-11-25T00:00:00.000Z' }),
  };
  const { code, stdout } = await startArbor(context, ['token', 'revoke', ID]).ended;
  assert.equal([code, stdout], [0, `${ID} revoked\n`]);
  const whole = await startArbor(context, ['token', 'revoke', KEY]).ended;
  assert.is(whole.code, 2);
  assert.not.match(whole.stderr, 'the-secret');
  assert.equal(ids, [ID]);
});

test.run();
