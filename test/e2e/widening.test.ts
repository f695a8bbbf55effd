// limit: 180 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { requestsTopic } from '../../machines/topic.ts';
import { connackOf } from '../support/ears.ts';
import { within } from '../support/mqtt-wire.ts';
import { createWorkspace, type Answer, type Json } from '../support/server.ts';
import { ok } from './scene.ts';
import { accepted, createSpending, pathOf, placeOf, queuedBy } from './spending.ts';

/** Nobody gives oneself more than one was given (contract, section 6, and promise 11), whatever one asks for. */
const test = suite('widening');

const space = createWorkspace();
const server = await space.serve({ config: space.config({ commands: ['no-op', 'slow'], agents: { threads: 4 } }) });
test.after(async () => space[Symbol.asyncDispose]());
const { askHttp, endAll, joinBy, openMqtt, race, share, tryJoin } = createSpending(() => server);
test.after.each(endAll);

test('a capability that demands confirmations starts nothing alone, nor does what descends from it', async () => {
  const session = await server.open();
  const made = await share(session, { require_confirmations: 1, may_share: true, max_operations: 30 });
  const guest = await joinBy(made);
  const child = await joinBy(await share(session, {}, guest.client_token));
  const stricter = await joinBy(await share(session, { require_confirmations: 2 }, guest.client_token));
  // Who made the share counts as its guests do, and they as who made it.
  const voters = [guest, child, stricter, { client_token: server.key }];
  for (const [client, required] of [
    [guest, 1],
    [child, 1],
    [stricter, 2],
  ] as const) {
    for (const body of [{ command: 'no-op' }, { command: 'slow', args: { ms: 1 }, priority: 9 }]) {
      const { coordination_id: id } = ok(
        await server.execute(session.session_id, body, 'wait=0.1', client.client_token),
        202,
      );
      const question = ok(await server.call('GET', `/v1/coordinations/${id}`), 200);
      assert.equal([question.required_confirmations, question.eligible], [required, []]);
      for (const { client_token: token } of voters) {
        const said = await server.call('POST', `/v1/coordinations/${id}/votes`, { token, body: { vote: 'confirm' } });
        assert.equal([said.status, said.body.reason], [403, 'voter']);
      }
    }
    const line = await openMqtt(client);
    assert.is(accepted(await line.send(2, { command: 'no-op' }, 'c')), 2);
  }
  const log = await server.events(session.session_id);
  assert.is(log.filter(({ type }) => type === 'execution_queued').length, 12);
  assert.not.ok(log.some(({ type }) => type === 'execution_started' || type === 'coordination_confirmed'));
});

test('a guest widens itself by nothing that it may call', async () => {
  const session = await server.open();
  const { session_id, client_id: owners } = session;
  const made = await share(session, { max_operations: 5 }, server.key, {
    operations: ['read', 'write'],
    scope: ['no-op'],
  });
  const guest = await joinBy(made);
  const { client_token: token, client_id } = guest;
  const path = pathOf(session);
  const foreign = await server.open();
  const refused = async (what: string, code: number, method: string, target: string, body?: object): Promise<void> => {
    const answer = await server.call(method, target, { token, ...(body === undefined ? {} : { body }) });
    assert.is(answer.status, code, `${what}: ${answer.text}`);
  };
  await refused('a second client', 403, 'POST', `${path}/clients`, { client_type: 'cli' });
  await refused('a share', 403, 'POST', `${path}/shares`, {});
  await refused('the shares of others', 403, 'GET', `${path}/shares`);
  await refused('its own share', 403, 'DELETE', `/v1/shares/${made.share_id}`);
  await refused('its own capability', 403, 'DELETE', `/v1/capabilities/${made.capability.id}`);
  await refused('another client', 403, 'DELETE', `${path}/clients/${owners}`);
  await refused('the session', 403, 'DELETE', path);
  await refused('a session of its own', 403, 'POST', '/v1/sessions', { client: { type: 'cli' } });
  await refused('a key', 403, 'POST', '/v1/keys', { principal: 'operator', operator: true });
  await refused('the keys', 403, 'GET', '/v1/keys');
  await refused('the audit', 403, 'GET', '/v1/audit');
  await refused('joining once more with its token', 403, 'POST', '/v1/join', { token: made.token, client_type: 'cli' });
  await refused('another command', 403, 'POST', `${path}/commands`, { command: 'slow', args: { ms: 1 } });
  await refused('trying it', 403, 'POST', `${path}/commands?dry_run=true`, { command: 'slow', args: { ms: 1 } });
  await refused('a field too many', 400, 'POST', `${path}/commands`, { command: 'no-op', client_id: owners });
  await refused('a caller', 400, 'POST', `${path}/commands`, { command: 'no-op', caller: { principal: 'operator' } });
  await refused('another session', 404, 'POST', `${pathOf(foreign)}/commands`, { command: 'no-op' });
  await refused('another session’s share', 404, 'POST', `${pathOf(foreign)}/shares`, {});

  // The token of a share is no credential, and that of a client is none of a share.
  assert.is((await server.call('GET', path, { token: made.token })).status, 401);
  assert.is((await tryJoin(token)).status, 401);
  assert.is(
    await connackOf(placeOf(server), { clientId: client_id, username: client_id, password: made.token as string }),
    5,
    'a share’s token over MQTT',
  );
  // Nobody speaks for another over MQTT.
  const line = await openMqtt(guest);
  const stolen = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'sessions.close', params: {} });
  line.ear.publish([requestsTopic(session_id, owners), stolen]);
  await within('end of its connection', line.ear.over);
  const own = await openMqtt(guest);
  for (const params of [
    { command: 'no-op', session_id: foreign.session_id },
    { command: 'no-op', client_id: owners },
    { command: 'no-op', caller: { client_id: owners, principal: 'operator' } },
  ])
    assert.is.not((await own.send(1, params, JSON.stringify(params)))[0]?.status, 202);

  // The same key of somebody else is another one: it does not get the owner's execution, and pays for its own.
  const keyed = { command: 'no-op', idempotency_key: 'shared' };
  const first = ok(await server.execute(session_id, keyed), 202);
  const second = ok(await server.execute(session_id, keyed, 'respond-async', token), 202);
  assert.is.not(second.execution_id, first.execution_id);
  // A newcomer by the same share is the same principal with the same budget.
  const newcomer = await joinBy(made);
  assert.is(accepted(await race([guest, newcomer], 6)), 4);

  // With credentials of one's own one stays who one is, and sees by them no more than before.
  const { api_key: key } = ok(await server.call('POST', '/v1/keys', { body: { principal: 'mallory' } }), 201);
  const mallory = await joinBy(made, key);
  assert.is((await server.call('GET', path, { token: key })).status, 404);
  assert.is((await askHttp(mallory, { command: 'no-op' })).reason, 'exhausted');
  assert.is(
    (await server.call('POST', `${path}/clients`, { token: mallory.client_token, body: { client_type: 'cli' } }))
      .status,
    403,
  );
  const log = await server.events(session_id);
  assert.is(queuedBy(log, [guest, newcomer, mallory]).length, 5);
  assert.not.ok(log.some(({ type }) => type === 'session_closed' || type === 'client_left'));
  assert.is(log.filter(({ type }) => type === 'share_created').length, 1);
});

test('what a guest may pass on is at most what it has, on every axis, and only as long', async () => {
  const session = await server.open();
  const bounds = {
    max_operations: 5,
    expires_in: 600,
    rate_limit: 50,
    max_concurrent: 2,
    read_only: true,
    max_risk: 'medium',
    require_webhook: true,
    may_share: true,
  };
  const given = { operations: ['read', 'list'], scope: ['no-*'] };
  const top = await share(session, bounds, server.key, given);
  const holder = await joinBy(top);
  const path = pathOf(session);
  const ask = (token: string, body: object): Promise<Answer> => server.call('POST', `${path}/shares`, { token, body });
  const beyond: readonly (readonly [body: object, field: string])[] = [
    [{ operations: ['read', 'write'] }, 'operations'],
    [{ operations: ['execute'] }, 'operations'],
    [{ scope: ['*'] }, 'scope'],
    [{ scope: ['no-op', 'slow'] }, 'scope'],
    [{ scope: ['n*'] }, 'scope'],
    [{ constraints: { max_operations: 6 } }, 'constraints.max_operations'],
    [{ constraints: { rate_limit: 51 } }, 'constraints.rate_limit'],
    [{ constraints: { max_concurrent: 3 } }, 'constraints.max_concurrent'],
    [{ constraints: { expires_in: 3_600 } }, 'constraints.expires_in'],
    [{ constraints: { expires_at: '2099-01-01T00:00:00Z' } }, 'constraints.expires_at'],
    [{ constraints: { read_only: false } }, 'constraints.read_only'],
    [{ constraints: { max_risk: 'high' } }, 'constraints.max_risk'],
    [{ constraints: { require_webhook: false } }, 'constraints.require_webhook'],
    [{ constraints: { trusted: true } }, 'constraints.trusted'],
  ];
  for (const [body, field] of beyond) {
    const { status, body: said, text } = await ask(holder.client_token, body);
    assert.equal([status, said.errors?.map((each: Json) => each.field)], [400, [field]], text);
  }
  // Of another kind it has nothing to pass on.
  assert.is((await ask(holder.client_token, { resource_type: 'mcp_tool' })).body.reason, 'may_share');
  // What is not asked for is inherited, but for the right to share.
  const child = ok(await ask(holder.client_token, {}), 201);
  const { may_share: _, ...inherited } = top.capability.constraints;
  assert.equal(child.capability.constraints, inherited);
  assert.equal([child.capability.operations, child.capability.scope], [given.operations, given.scope]);
  assert.is(child.capability.parent_id, top.capability.id);
  const inner = await joinBy(child);
  assert.is((await ask(inner.client_token, {})).status, 403);
  // By its own child it becomes nothing more, and not itself twice.
  const twin = await joinBy(ok(await ask(holder.client_token, { constraints: { may_share: true } }), 201));
  const grandchild = ok(await ask(twin.client_token, { constraints: { may_share: true } }), 201);
  assert.equal([grandchild.capability.depth, grandchild.expires_at], [3, top.expires_at]);
  const last = await joinBy(grandchild);
  const tooDeep = await ask(last.client_token, {});
  assert.equal([tooDeep.status, tooDeep.body.reason], [403, 'depth']);
  // It ends only what it has made: neither what it has itself, nor what others made of it.
  assert.is((await server.call('DELETE', `/v1/shares/${top.share_id}`, { token: twin.client_token })).status, 403);
  assert.is((await server.call('DELETE', `/v1/shares/${top.share_id}`, { token: holder.client_token })).status, 403);
  assert.is((await server.call('DELETE', `/v1/shares/${child.share_id}`, { token: twin.client_token })).status, 403);

  // The end of the first is the end of all, and no token of any of them opens the door again.
  ok(await server.call('DELETE', `/v1/shares/${top.share_id}`), 200);
  for (const client of [holder, inner, twin, last])
    assert.is((await server.call('GET', path, { token: client.client_token })).status, 401);
  for (const { token } of [top, child, grandchild]) assert.is((await tryJoin(token)).status, 401);
  const { api_key: key } = ok(await server.call('POST', '/v1/keys', { body: { principal: 'eve' } }), 201);
  for (const { token } of [top, child, grandchild]) assert.is((await tryJoin(token, key)).status, 401);
});

test('afterwards the server is well and has logged no fault', async () => {
  assert.not.match(server.stderr(), /"level":(50|60)/);
  assert.is((await server.call('GET', '/readyz', { token: null })).status, 200);
});

test.run();
