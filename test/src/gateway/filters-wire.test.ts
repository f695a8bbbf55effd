import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbeddedBroker, type EmbeddedBroker } from '../../../brokers/embedded.ts';
import { topicMatches } from '../../../machines/topic.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { eventually, startGateway, type Json, type TestGateway } from '../../support/gateway.ts';
import { CONNECT, dialTcp, publish, subscribe, type WireClient } from '../../support/mqtt-wire.ts';
import {
  base,
  clientBase,
  FELLOW,
  filters,
  FOREIGN,
  isDelivered,
  ME,
  OWN,
  STRANGER,
  TOPICS,
} from './filters/topics.ts';

interface Stage {
  on: TestGateway;
  broker: EmbeddedBroker;
  clients: Json[];
  foreign: Json;
  dialled: WireClient[];
}

/** What a client gets through whatever was granted to it, and who may call itself what. */
const test = suite<Stage>('filters on the wire');

test.before.each(async (stage) => {
  const access = createMqttAccess();
  stage.broker = await createEmbeddedBroker({ policy: access.policy });
  stage.on = await startGateway({ mqtt: { access, server: stage.broker, host: '127.0.0.1', port: 0 } }, stage.broker);
  const first = await stage.on.open();
  const second = await stage.on.call('POST', `/v1/sessions/${first.session_id}/clients`, {
    body: { client_type: 'web' },
  });
  stage.clients = [first, second.body];
  stage.foreign = await stage.on.open();
  stage.dialled = [];
});
test.after.each(async ({ on, broker, dialled }) => {
  for (const client of dialled) client.destroy();
  await on.close();
  await broker.close();
});

const dial = async (stage: Stage, connect: object): Promise<WireClient> => {
  const client = await dialTcp(stage.on.mqtt?.port ?? 0);
  stage.dialled.push(client);
  client.send({ ...CONNECT, ...connect });
  return client;
};
const loginOf = ({ client_id, client_token }: Json, suffix = ''): object => ({
  clientId: client_id + suffix,
  username: client_id,
  password: client_token,
});
const enter = async (stage: Stage, client: Json, suffix = ''): Promise<WireClient> => {
  const dialled = await dial(stage, loginOf(client, suffix));
  assert.is((await dialled.expect('connack'))['returnCode'], 0);
  return dialled;
};

test('by no set of filters does anybody get what is another’s', async (stage) => {
  const { on, clients, foreign } = stage;
  const [me, fellow] = clients as [Json, Json];
  const names: Readonly<Record<string, string>> = {
    [OWN]: me.session_id,
    [FOREIGN]: foreign.session_id,
    [ME]: me.client_id,
    [FELLOW]: fellow.client_id,
    [STRANGER]: foreign.client_id,
  };
  const translated = (text: string): string =>
    text
      .split('/')
      .map((each) => names[each] ?? each)
      .join('/');
  const topics = [...new Set(TOPICS.map(translated))].filter((topic) => !topic.startsWith('$'));
  const isMine = (topic: string): boolean => {
    const back = TOPICS.find((each) => translated(each) === topic) ?? '';
    return isDelivered(back, true);
  };
  let suffix = 0;
  let heard = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(filters, { minLength: 20, maxLength: 40 }),
      fc.constantFrom(0 as const, 1 as const),
      async (all, qos) => {
        const client = await enter(stage, me, `:${(suffix += 1)}`);
        const asked = [...new Set([`${base(me.session_id)}/#`, '#', '+/+/+/+/+/+/+', ...all.map(translated)])];
        const { granted } = await subscribe(client, Object.fromEntries(asked.map((filter) => [filter, qos])));
        assert.equal((granted as number[]).slice(0, 3), [0x80, 0x80, 0x80]);
        for (const topic of topics) await on.system.bus.publish(topic, `{"topic":"${topic}"}`, { qos: 1 });
        const arrived = (await client.drain())
          // What it is told first bears the retain flag.
          .filter(({ cmd, retain }) => cmd === 'publish' && !retain)
          .map(({ topic, payload }) => [String(topic), String(payload)] as const)
          .filter(([topic, payload]) => payload === `{"topic":"${topic}"}`);
        const may = asked.filter((_, index) => (granted as number[])[index] !== 0x80);
        const expected = topics.filter((topic) => isMine(topic) && may.some((filter) => topicMatches(filter, topic)));
        // Each once, however many filters match.
        assert.equal(arrived.map(([topic]) => topic).toSorted(), expected.toSorted(), asked.join(' '));
        heard += arrived.length;
        client.destroy();
      },
    ),
    { numRuns: 60 },
  );
  assert.ok(heard > 60, `${heard} were heard at all`);
});

test('a foreign client id with one’s own token is refused, and whose it is notices nothing', async (stage) => {
  const { on, clients, foreign } = stage;
  const [me, fellow] = clients as [Json, Json];
  const replies = `${clientBase(me.session_id, me.client_id)}/replies`;
  const mine = await enter(stage, me);
  const second = await enter(stage, me, ':2');
  for (const client of [mine, second]) await subscribe(client, { [replies]: 0 });
  for (const other of [fellow, foreign])
    for (const clientId of [me.client_id, `${me.client_id}:2`, `${me.client_id}:${other.client_id}`])
      for (const connect of [
        { ...loginOf(other), clientId },
        { ...loginOf(other), clientId, username: me.client_id },
        { ...loginOf(me), clientId, password: other.client_token },
        { ...loginOf(me), clientId, password: on.owner },
        { ...loginOf(me), clientId, username: undefined, password: undefined },
      ]) {
        const intruder = await dial(stage, connect);
        assert.is((await intruder.expect('connack'))['returnCode'], 5, JSON.stringify({ ...connect, password: '' }));
        await intruder.closed();
      }
  await on.system.bus.publish(replies, 'still here');
  for (const client of [mine, second]) assert.is(String((await client.expect('publish'))['payload']), 'still here');
  assert.is(stage.broker.connections().filter(({ username }) => username === me.client_id).length, 2);
});

test('wills and retained publications are refused, and leave nothing behind', async (stage) => {
  const [me, fellow] = stage.clients as [Json, Json];
  const requests = `${clientBase(me.session_id, me.client_id)}/requests`;
  const witness = await enter(stage, fellow);
  await subscribe(witness, { [`${base(me.session_id)}/events/#`]: 0, [`${base(me.session_id)}/state`]: 0 });
  await eventually('the state', async () => (await witness.drain()).length > 0);
  for (const topic of [requests, `${base(me.session_id)}/state`, `${base(me.session_id)}/events/a/b`, '$SYS/x'])
    for (const retain of [false, true]) {
      const dying = await dial(stage, { ...loginOf(me), will: { topic, payload: 'boo', qos: 1, retain } });
      assert.is((await dying.expect('connack'))['returnCode'], 5);
      await dying.closed();
    }
  for (const topic of [requests, `${base(me.session_id)}/state`])
    for (const payload of ['{}', '']) {
      const client = await enter(stage, me);
      client.send(publish(topic, payload, { retain: true }));
      await client.closed();
    }
  const late = await enter(stage, fellow, ':late');
  const { granted } = await subscribe(late, { [`${base(me.session_id)}/state`]: 0 });
  assert.equal(granted, [0]);
  const told = [...(await witness.drain()), ...(await late.drain())].map(({ payload }) => String(payload));
  assert.not.ok(told.some((payload) => payload === 'boo' || payload === ''));
});

test.run();
