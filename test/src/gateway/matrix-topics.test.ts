import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { canTopic, eventFilter, eventTopic, repliesTopic, requestsTopic, stateTopic } from '../../../machines/topic.ts';
import { eventually, type Json } from '../../support/gateway.ts';
import { publish, subscribe, type WireClient } from '../../support/mqtt-wire.ts';
import { PERSONAS, type Persona } from './matrix/persona.ts';
import { createScene, register, type Caller, type Scene } from './matrix/scene.ts';
import { openStage, type Stage } from './matrix/stage.ts';
import { dial, loginOf, type Login } from './matrix/wire.ts';
import { eventsSince, recordsSince, worldOf } from './matrix/world.ts';

/** The topics of the contract's section 3, by every kind of caller: its logins, its subscriptions, its publications. */
const test = suite('the matrix of topics');

const REFUSED = 0x80;
const NOT_AUTHORIZED = 5;

/** Filters of one client's session, and of the client's own topics in it. */
const filtersOf = ({ session_id, client_id }: Json) => ({
  events: [eventFilter(session_id), eventTopic(session_id, '+', '+'), eventTopic(session_id, 'client_left', '+')],
  state: [stateTopic(session_id)],
  own: [canTopic(session_id, client_id), repliesTopic(session_id, client_id)],
  /** Nobody's to subscribe. */
  others: [
    requestsTopic(session_id, client_id),
    `arbor/v1/sessions/${session_id}/#`,
    `arbor/v1/sessions/${session_id}/+`,
    `arbor/v1/sessions/${session_id}/clients/+/replies`,
    `arbor/v1/sessions/${session_id}/clients/${client_id}/#`,
  ],
});
/** Of no session in particular: nobody's but, where it is so, an operator's. */
const WIDE = ['#', '+/#', 'arbor/v1/sessions/+/events/#', 'arbor/v1/sessions/+/state', 'arbor/v1/#'];
/** The broker does not have them, for anybody: their refusal is for want of nothing, and leaves no trace. */
const UNOFFERED = ['$SYS/#', '$SYS/broker/uptime'];
const OPERATORS = ['arbor/v1/actors/#', 'arbor/v1/actors/+/+/+/+', 'arbor/v1/inspect/#'];

const login = async (stage: Stage, as: Login): Promise<WireClient> => {
  const wire = await dial(stage, as);
  if (typeof wire === 'number') throw new Error(`the login was refused with ${wire}`);
  return wire;
};

/** How many of the filters are answered otherwise than they should be. */
const wrongly = async (wire: WireClient, filters: readonly string[], isGranted: boolean): Promise<string[]> => {
  const wrong: string[] = [];
  for (const filter of filters) {
    const { granted } = await subscribe(wire, { [filter]: 1 });
    if (((granted as number[])[0] !== REFUSED) !== isGranted) wrong.push(filter);
    await wire.drain();
  }
  return wrong;
};

/** Publications each of which closes the connection that makes it. */
const disconnecting = async (stage: Stage, as: Login, publications: readonly object[]): Promise<void> => {
  for (const each of publications) {
    const wire = await login(stage, as);
    wire.send(each);
    await wire.closed();
  }
};

/** The first is where a client's requests go. */
const everyTopic = ({ session_id, client_id }: Json, more: object = {}): object[] =>
  [
    requestsTopic(session_id, client_id),
    repliesTopic(session_id, client_id),
    canTopic(session_id, client_id),
    stateTopic(session_id),
    eventTopic(session_id, 'session_closed', session_id),
    `arbor/v1/actors/1/${session_id}/session/${session_id}`,
  ].map((topic) => publish(topic, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'sessions.close' }), more));

interface Trial {
  readonly stage: Stage;
  readonly scene: Scene;
  readonly caller: Caller;
  /** A client of a session that the caller is not in. */
  readonly foreign: Json;
  /** Another client of the scene's session, which is the caller's where it is in there. */
  readonly neighbour: Json;
}

const trialOf = async (stage: Stage, persona: Persona): Promise<Trial> => {
  const scene = await createScene(stage);
  const caller = await persona.enter(scene);
  const { session: foreign } = persona.standing.place === 'outside' ? scene : await createScene(stage);
  const neighbour = await register(scene, 'web');
  await persona.fall?.(scene, caller);
  return { stage, scene, caller, foreign, neighbour };
};

const CLIENTS = PERSONAS.filter(({ standing }) => standing.credentials === 'client');
for (const persona of CLIENTS)
  test(persona.name, async () => {
    await using stage = await openStage();
    const { caller, foreign, neighbour } = await trialOf(stage, persona);
    const { client } = caller;
    const { session_id, client_id } = client;
    const reads = persona.standing.state !== 'over';
    const before = await worldOf(stage, session_id, true);
    const hidden = await worldOf(stage, foreign.session_id);

    const good = loginOf(caller);
    for (const other of [foreign, neighbour])
      for (const as of [
        { ...good, clientId: other.client_id, username: other.client_id },
        { ...good, clientId: other.client_id },
        { ...good, username: other.client_id },
        { ...good, password: other.client_token },
        { ...good, clientId: 'op:1' },
      ])
        assert.is(await dial(stage, as), NOT_AUTHORIZED);

    const wire = await login(stage, good);
    const mine = filtersOf(client);
    assert.equal(await wrongly(wire, mine.own, true), []);
    assert.equal(await wrongly(wire, [...mine.events, ...mine.state], reads), []);
    const beside = filtersOf(neighbour);
    const theirs = filtersOf(foreign);
    const forbidden = [
      ...mine.others,
      ...beside.own,
      ...beside.others,
      ...Object.values(theirs).flat(),
      ...WIDE,
      ...OPERATORS,
    ];
    assert.equal(await wrongly(wire, [...forbidden, ...UNOFFERED], false), []);
    const publications = [...everyTopic(foreign), ...everyTopic(neighbour), ...everyTopic(client).slice(1)];
    const retained = everyTopic(client, { retain: true });
    await disconnecting(stage, { ...good, clientId: `${client_id}:2` }, [...publications, ...retained]);

    await stage.close();
    assert.equal(await worldOf(stage, foreign.session_id), hidden, 'nothing of it is seen in the other session');
    const after = await worldOf(stage, session_id, true);
    assert.equal(after.actors, before.actors);
    const refused = forbidden.length + publications.length + (reads ? 0 : mine.events.length + mine.state.length);
    const events = eventsSince(after, before);
    const records = recordsSince(after, before);
    for (const { type, data } of events) {
      assert.equal([type, data.reason, data.client_id], ['security_violation', 'topic', client_id]);
      assert.ok(['subscribe', 'publish'].includes(data.operation));
    }
    assert.equal(
      records.map(({ type, data }) => [type, data['count']]),
      events.map(({ data }) => ['access_refused', data.count]),
    );
    assert.is(
      events.reduce((sum, { data }) => sum + data.count, 0),
      refused,
    );
  });

test('an operator', async () => {
  await using stage = await openStage();
  const {
    session,
    stage: { on },
  } = await createScene(stage);
  const { key: password, principal: username } = on.operator;
  const before = await worldOf(stage, session.session_id);
  const as = { clientId: 'op:1', username, password };
  for (const wrong of [
    { ...as, clientId: 'one' },
    { ...as, clientId: session.client_id },
    { ...as, username: session.client_id },
    { ...as, clientId: session.client_id, username: session.client_id },
    { ...as, password: on.owner },
    { ...as, username: 'alice', password: on.owner },
  ])
    assert.is(await dial(stage, wrong), NOT_AUTHORIZED);
  const wire = await login(stage, as);
  assert.equal(await wrongly(wire, OPERATORS, true), []);
  assert.equal(await wrongly(wire, [...Object.values(filtersOf(session)).flat(), ...WIDE], false), []);
  await disconnecting(stage, { ...as, clientId: 'op:2' }, everyTopic(session));
  await stage.close();
  assert.equal(await worldOf(stage, session.session_id), before);
  assert.equal(
    on.system
      .audited()
      .filter(({ type }) => type === 'operator_subscribed')
      .map(({ data }) => data['filter']),
    OPERATORS,
  );
});

for (const persona of PERSONAS.filter(({ cut }) => cut))
  test(`${persona.name}, while it is connected`, async () => {
    await using stage = await openStage();
    const scene = await createScene(stage);
    const caller = await persona.enter(scene);
    const wire = await login(stage, loginOf(caller));
    await subscribe(wire, { [eventFilter(caller.client.session_id)]: 1 });
    await persona.fall?.(scene, caller);
    await wire.closed();
    assert.is(await dial(stage, loginOf(caller)), NOT_AUTHORIZED);
    await eventually('it is forgotten', async () =>
      (await stage.on.call('GET', '/metrics')).text.includes('\narbor_mqtt_connections 0'),
    );
  });

test('an operator whose key is revoked, while it is connected', async () => {
  await using stage = await openStage();
  const { must, on } = stage;
  const { api_key, key_id, principal } = await must('POST', '/v1/keys', on.operator.key, {
    principal: 'second',
    operator: true,
  });
  const as = { clientId: 'op:1', username: principal, password: api_key };
  const wire = await login(stage, as);
  await subscribe(wire, { 'arbor/v1/inspect/#': 0 });
  await must('DELETE', `/v1/keys/${key_id}`, on.operator.key);
  await wire.closed();
  assert.is(await dial(stage, as), NOT_AUTHORIZED);
});

test.run();
