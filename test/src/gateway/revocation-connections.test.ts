import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Grant } from '../../../machines/capability.ts';
import { connackOf, earOverSse, earOverTcp, eventsOf, type Ear } from '../../support/ears.ts';
import { eventually, type Json } from '../../support/gateway.ts';
import { CONNECT, dialTcp, subscribe, within } from '../../support/mqtt-wire.ts';
import { REVOKED } from './revocation/endings.ts';
import {
  begin,
  finish,
  heardNothingAfter,
  invite,
  isOver,
  isShutOut,
  leftOf,
  listen,
  revokeShare,
  say,
  type Stage,
} from './revocation/stage.ts';

/** Which connections end with a right, which do not, and how. */
const test = suite<Stage>('the end of a right, by connection');

test.before.each(async (stage) => void Object.assign(stage, await begin()));
test.after.each(finish);

/** One that reads and one that does the rest. */
const TWO: readonly Grant[] = [
  { resource_type: 'cli_operations', operations: ['read'], scope: ['*'], constraints: {} },
  { resource_type: 'cli_operations', operations: ['write', 'execute'], scope: ['*'], constraints: {} },
];

test('who keeps a capability to read stays, and can do less; with the last one it goes', async () => {
  const stage = await begin({ grants: { cli: TWO, web: TWO, api: TWO } });
  try {
    const { on, session, path, place } = stage;
    // Of the owner's clients each holds what is its own.
    const client = (await on.call('POST', `${path}/clients`, { body: { client_type: 'cli' } })).body;
    const { client_id, client_token: token, capabilities } = client;
    const base = `arbor/v1/sessions/${session.session_id}`;
    const can = `${base}/clients/${client_id}/can`;
    const ear = await earOverTcp(place, client, { [`${base}/events/#`]: 1, [can]: 1, [`${base}/state`]: 1 });
    const sse = await earOverSse(place, session.session_id, token);
    stage.ears.push(ear, sse);
    const told = (): Json[] => ear.heard.filter(({ topic }) => topic === can).map(({ json }) => json);
    await eventually('what it can', () => told().length > 0);
    assert.equal(told()[0].commands, ['help', 'work', 'shell', 'export']);
    assert.ok(told()[0].operations.includes('executions.cancel'));

    const [reads, rest] = capabilities as [Json, Json];
    const revoked = await on.call('DELETE', `/v1/capabilities/${rest.id}`);
    assert.equal(revoked.body.revoked, [rest.id]);
    await eventually('it can do less', () => told().at(-1).commands.length < 4);
    assert.equal(told().at(-1).commands, ['help', 'export']);
    const listed = await on.call('GET', `${path}/commands`, { token });
    assert.equal(
      listed.body.items.map(({ name }: Json) => name),
      ['help', 'export'],
    );
    const refused = await on.call('POST', `${path}/commands`, { token, body: { command: 'work' } });
    assert.equal([refused.status, refused.body.reason], [403, 'operation']);
    assert.is((await on.call('POST', `${path}/commands`, { token, body: { command: 'help', wait: 0 } })).status, 202);
    say(stage, 'still there');
    for (const each of [ear, sse]) {
      await eventually(`${each.name} goes on`, () => eventsOf(each).at(-1)?.data.chunk === 'still there');
      assert.not.ok(each.isOver());
      const seqs = eventsOf(each).map(({ seq }) => seq);
      assert.equal(
        seqs,
        seqs.map((_, index) => (seqs[0] as number) + index),
        each.name,
      );
    }
    assert.is(await connackOf(place, { clientId: `${client_id}:2`, username: client_id, password: token }), 0);

    await on.call('DELETE', `/v1/capabilities/${reads.id}`);
    await isOver([ear, sse]);
    for (const each of [ear, sse])
      assert.equal(
        eventsOf(each)
          .slice(-2)
          .map(({ type }) => type),
        REVOKED,
        each.name,
      );
    await isShutOut(stage, client);
  } finally {
    await finish(stage);
  }
});

test('who loses the one to read goes, whatever else it holds', async () => {
  const stage = await begin({ grants: { cli: TWO, web: TWO, api: TWO } });
  try {
    const { on, path } = stage;
    const client = (await on.call('POST', `${path}/clients`, { body: { client_type: 'cli' } })).body;
    const ears = await listen(stage, client);
    const [reads, rest] = client.capabilities as [Json, Json];
    await on.call('DELETE', `/v1/capabilities/${reads.id}`);
    await isOver(ears);
    await isShutOut(stage, client);
    assert.is((await on.call('DELETE', `/v1/capabilities/${rest.id}`)).status, 409);
  } finally {
    await finish(stage);
  }
});

test('a revoked key of an operator: its connections, streams and long-polls end, nobody else’s', async (stage) => {
  const { on, place, busy, session, ears } = stage;
  // They belong to the owner of the session, who is an operator as well.
  const [key, other] = [await on.keyOf('alice', true), await on.keyOf('alice', true)];
  const id = key.split('.')[0] as string;
  const login = (token: string, suffix: string): Promise<Ear> =>
    earOverTcp(place, { client_id: 'alice', client_token: token }, { 'arbor/v1/actors/#': 1 }, suffix, 'op');
  const [one, two, kept] = await Promise.all([login(key, ':1'), login(key, ':2'), login(other, ':3')]);
  const stream = await earOverSse(place, session.session_id, key);
  const own = await earOverSse(place, session.session_id, on.owner);
  ears.push(one, two, kept, stream, own);
  const poll = on.call('GET', `/v1/executions/${busy}?wait=60`, { token: key });
  await eventually('it waits', async () => (await on.call('GET', '/metrics')).text.includes('\narbor_waiters 1'));
  const inbox = 'arbor/v1/actors/1/ses_1/session/ses_1';
  await on.system.bus.publish(inbox, '{"before":true}');
  await eventually('they hear', () => [one, two, kept].every(({ heard }) => heard.length > 0));

  const revoked = await on.call('DELETE', `/v1/keys/${id}`, { token: on.operator.key });
  assert.is(revoked.status, 200, revoked.text);
  await on.system.bus.publish(inbox, '{"after":true}');
  say(stage, 'after');
  await isOver([one, two, stream]);
  assert.equal([(await poll).status, (await poll).body.code], [401, 'unauthenticated']);
  for (const { heard } of [one, two])
    assert.not.ok(
      heard.some(({ json }) => json.after),
      'it heard what came after',
    );
  assert.not.ok(eventsOf(stream).some(({ data }) => data.chunk === 'after'));
  await eventually('the others hear on', () => kept.heard.some(({ json }) => json.after));
  await eventually('the others read on', () => eventsOf(own).some(({ data }) => data.chunk === 'after'));
  assert.not.ok(kept.isOver() || own.isOver());
  for (const clientId of ['op:1', 'op:9'])
    assert.is(await connackOf(place, { clientId, username: 'alice', password: key }), 5);
  assert.is(await connackOf(place, { clientId: 'op:9', username: 'alice', password: other }), 0);
  assert.is((await on.call('GET', '/v1/sessions', { token: key })).status, 401);
});

test('a storm of reconnects with the same client id: none outlives the revocation, none hears past it', async (stage) => {
  const { place } = stage;
  const guest = await invite(stage);
  const { client_id, client_token, session_id } = guest.client;
  const filters = { [`arbor/v1/sessions/${session_id}/events/#`]: 1 } as const;
  const opened: Ear[] = [];
  const refused: string[] = [];
  let going = true;
  const storm = async (suffix: string): Promise<void> => {
    while (going) {
      try {
        opened.push(await earOverTcp(place, guest.client, filters, suffix));
      } catch (error) {
        // Another took the id over before this one was subscribed, or it was refused.
        refused.push((error as Error).message);
      }
    }
  };
  // Two of them fight for one id.
  const storms = ['', '', ':1', ':1', ':2'].map(storm);
  await eventually('many connections', () => opened.length > 30);
  say(stage, 'before');
  await revokeShare(stage, guest.share);
  const { seq: last } = await leftOf(stage, guest.client);
  for (let n = 0; n < 20; n += 1) say(stage, `later ${n}`);
  await eventually('they are refused', () => refused.filter((text) => text.endsWith('refused with 5')).length > 10);
  going = false;
  await within('end of the storm', Promise.all(storms));
  stage.ears.push(...opened);
  await isOver(opened);
  heardNothingAfter(opened, last);
  assert.equal(
    stage.broker.connections().filter(({ username }) => username === client_id),
    [],
  );
  assert.is(await connackOf(place, { clientId: client_id, username: client_id, password: client_token }), 5);
  await eventually('nobody counts as connected', async () =>
    (await stage.on.call('GET', '/metrics')).text.includes('\narbor_mqtt_connections 0'),
  );
});

test('who is busy sending while it is cut still reads why', async (stage) => {
  const { client, share: made } = await invite(stage);
  const { client_id, session_id } = client;
  const busy = await dialTcp(stage.place.mqttPort);
  busy.send({ ...CONNECT, clientId: client_id, username: client_id, password: client.client_token });
  await busy.expect('connack');
  await subscribe(busy, { [`arbor/v1/sessions/${session_id}/events/#`]: 1 });
  // It reads late, and does not stop sending: on a socket that is simply gone that would take back what lies in it.
  busy.stream.pause();
  const sending = setInterval(() => busy.send({ cmd: 'pingreq' }), 1);
  stage.ends.push(() => clearInterval(sending));
  await revokeShare(stage, made);
  await eventually('it is cut', () => !stage.broker.connections().some(({ username }) => username === client_id));
  await new Promise((resolve) => setTimeout(resolve, 50));
  busy.stream.resume();
  const types = (await busy.closed())
    .filter(({ cmd }) => cmd === 'publish')
    .map(({ payload }) => JSON.parse(String(payload)).type);
  assert.equal(types.slice(-2), REVOKED);
});

test.run();
