import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Capability } from '../../../machines/capability.ts';
import { SESSION } from '../client/fake-gateway.ts';
import { closeArbor, openArbor, startArbor, type ArborContext } from './start-arbor.ts';

const test = suite<ArborContext>('arbor share, shares, revoke');

const SHARE = 'shr_01K0000000000000000000ABCD';
const CAPABILITY = 'cap_01K0000000000000000000ABCD';
const SECRET = `${SHARE}.the-secret`;
const ENDS = '2026-11-25T00:00:00.000Z';

const capability: Capability = {
  id: CAPABILITY,
  resource_type: 'cli_operations',
  operations: ['read', 'write'],
  scope: ['chat', 'an*'],
  constraints: { max_operations: 5, max_risk: 'low', expires_at: ENDS },
  principal: `share:${SHARE}`,
  session_id: SESSION,
  parent_id: null,
  depth: 1,
  issued_at: '2026-11-24T00:00:00.000Z',
};
const created = { share_id: SHARE, token: SECRET, capability, expires_at: ENDS };

test.before.each(openArbor);
test.after.each(closeArbor);

test('share: the token alone on standard output; what it allows, its end and its use beside it', async (context) => {
  const inputs: unknown[] = [];
  context.gateway.handlers = { 'shares.create': (input) => (inputs.push(input), created) };
  const { code, stdout, stderr } = await startArbor(context, ['share', SESSION]).ended;
  assert.is(code, 0, stderr);
  assert.equal(inputs, [{ session_id: SESSION }]);
  assert.is(stdout, `${SECRET}\n`);
  assert.match(stderr, `${SHARE}: read, write on chat, an*; 5 operations in all; up to low risk\n`);
  assert.match(stderr, `it ends ${ENDS}`);
  assert.match(stderr, `ARBOR_SHARE_TOKEN=<token> arbor --url ${context.gateway.http} join\n`);
  assert.not.match(stderr, 'the-secret');
});

test('share: every option is the constraint it stands for; --json is the answer', async (context) => {
  const inputs: unknown[] = [];
  context.gateway.handlers = { 'shares.create': (input) => (inputs.push(input), created) };
  const { code, stdout, stderr } = await startArbor(context, [
    ...['share', SESSION, '--read-only', '--operations', 'write,read', '--scope', 'chat', 'an*'],
    ...['--max-operations', '5', '--expires-in', '2h', '--max-risk', 'low', '--may-share', '--rate-limit', '10'],
    ...['--label', 'for Grace', '--json'],
  ]).ended;
  assert.is(code, 0, stderr);
  assert.equal(inputs, [
    {
      session_id: SESSION,
      operations: ['read', 'write'],
      scope: ['chat', 'an*'],
      label: 'for Grace',
      constraints: {
        read_only: true,
        max_operations: 5,
        expires_in: 7200,
        max_risk: 'low',
        may_share: true,
        rate_limit: 10,
      },
    },
  ]);
  assert.equal(JSON.parse(stdout), created);
});

test('share: what is no time, risk or operation is wrong usage, and nothing is sent', async (context) => {
  for (const [option, value, said] of [
    ['--expires-in', '2w', /30s, 15m, 2h, 7d/],
    ['--expires-in', '0', /30s, 15m, 2h, 7d/],
    ['--max-risk', 'some', /minimal, low, medium, high/],
    ['--operations', 'read,wriet', /read, write, execute, list/],
    ['--max-operations', '-1', /whole number/],
  ] as const) {
    const { code, stderr } = await startArbor(context, ['share', SESSION, option, value]).ended;
    assert.is(code, 2, stderr);
    assert.match(stderr, said);
  }
});

test('shares: the live ones of every page; --all, --json', async (context) => {
  const share = (id: string, status: string) => ({
    share_id: id,
    session_id: SESSION,
    label: `label ${id}`,
    status,
    capability,
    created_by: { principal: 'ada', client_id: null },
    created_at: '2026-11-24T00:00:00.000Z',
    expires_at: ENDS,
  });
  context.gateway.handlers = {
    'shares.list': ({ after }) =>
      after === undefined
        ? { items: [share('shr_1', 'live'), share('shr_2', 'revoked')], next: 'shr_2' }
        : { items: [share('shr_3', 'live')], next: null },
  };
  const live = await startArbor(context, ['shares', SESSION]).ended;
  assert.is(live.code, 0, live.stderr);
  assert.match(live.stdout, /^share id +status +label +created by +expires at +allows\nshr_1 +live +label shr_1 +ada /);
  assert.match(live.stdout, /\nshr_3 .*read, write on chat, an\*/);
  assert.not.match(live.stdout, 'shr_2');
  const all = await startArbor(context, ['shares', SESSION, '--all', '--json']).ended;
  assert.equal(
    (JSON.parse(all.stdout) as { share_id: string }[]).map(({ share_id }) => share_id),
    ['shr_1', 'shr_2', 'shr_3'],
  );
});

test('revoke: a share, and a capability with what descends from it', async (context) => {
  context.gateway.handlers = {
    'shares.revoke': ({ share_id }) => ({ share_id, status: 'revoked' }),
    'capabilities.revoke': ({ capability_id }) => ({ capability_id, revoked: [capability_id, 'cap_below'] }),
  };
  const share = await startArbor(context, ['revoke', SHARE]).ended;
  assert.equal([share.code, share.stdout], [0, `${SHARE} revoked\n`]);
  const below = await startArbor(context, ['revoke', CAPABILITY]).ended;
  assert.equal([below.code, below.stdout], [0, `${CAPABILITY} revoked\ncap_below revoked\n`]);
});

test('revoke: what is no id is neither sent nor repeated; a key is named with its command', async (context) => {
  const key = await startArbor(context, ['revoke', 'ark_0123456789abcdef0123']).ended;
  assert.is(key.code, 2);
  assert.match(key.stderr, 'arbor token revoke');
  const token = await startArbor(context, ['revoke', SECRET]).ended;
  assert.is(token.code, 2);
  assert.match(token.stderr, 'not its token');
  assert.not.match(token.stderr, 'the-secret');
});

test.run();
