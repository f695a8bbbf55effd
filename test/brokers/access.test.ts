/** What an access policy decides, and what the broker refuses by itself. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AccessPolicy, type Connection, openPolicy } from '../../brokers/access.ts';
import { CONNECT, publish, settle, subscribe, told, until, withBroker } from '../support/mqtt-wire.ts';

const test = suite('access');

/** As a gateway's: nothing outlives a connection; who someone is stands in the tag. */
const strict = (more: Partial<AccessPolicy> = {}): AccessPolicy => ({ ...openPolicy, persistence: false, ...more });

test('a login is told to the policy, and what it returns is with every later question', async () => {
  const calls: unknown[] = [];
  const note = (name: string, client: Connection, detail?: unknown): void =>
    void calls.push([name, client.clientId, client.tag, detail]);
  const policy: AccessPolicy = {
    persistence: true,
    connect: async ({ clientId, username, password, remote }) => {
      calls.push(['connect', clientId, username, String(password), remote]);
      return { ok: true, tag: `tag of ${clientId}` };
    },
    publish: (client, packet) => {
      note('publish', client, [packet.topic, packet.qos, packet.retain, String(packet.payload)]);
      return 'allow';
    },
    onPublish: (client, topic, payload) => note('onPublish', client, [topic, String(payload)]),
    subscribe: (client, filter) => {
      note('subscribe', client, filter);
      return true;
    },
    deliver: (client, topic) => {
      note('deliver', client, topic);
      return true;
    },
    connected: (client) => note('connected', client),
    disconnected: (client) => note('disconnected', client),
  };
  await withBroker(
    async (broker) => {
      const client = await broker.login('me', { username: 'u', password: Buffer.from('p') });
      await subscribe(client, { 't/+': 1 });
      client.send(publish('t/1', 'x', { qos: 1, messageId: 1 }));
      await client.drain();
      client.send({ cmd: 'disconnect' });
      await client.closed();
      await settle();
      const tag = 'tag of me';
      assert.equal(calls, [
        ['connect', 'me', 'u', 'p', 'memory'],
        ['connected', 'me', tag, undefined],
        ['subscribe', 'me', tag, 't/+'],
        ['publish', 'me', tag, ['t/1', 1, false, 'x']],
        ['deliver', 'me', tag, 't/1'],
        ['onPublish', 'me', tag, ['t/1', 'x']],
        ['disconnected', 'me', tag, undefined],
      ]);
    },
    { policy },
  )();
});

test(
  'without persistence a will is refused by code 5',
  withBroker(
    async (broker) => {
      const client = broker.dial();
      client.send({ ...CONNECT, clientId: 'a', will: { topic: 'w', payload: 'x', qos: 0, retain: false } });
      assert.equal(
        (await client.closed()).map((packet) => packet['returnCode']),
        [5],
      );
    },
    { policy: strict() },
  ),
);

test(
  'without persistence a retained publication ends the connection and reaches nobody',
  withBroker(
    async (broker) => {
      const seen: string[] = [];
      broker.subscribe('#', (topic) => seen.push(topic));
      const client = await broker.login();
      client.send(publish('t', 'x', { retain: true }));
      await client.closed();
      assert.equal(seen, []);
    },
    { policy: strict() },
  ),
);

test(
  'without persistence clean_session=0 is accepted and treated as 1',
  withBroker(
    async (broker) => {
      const present: unknown[] = [];
      for (let round = 0; round < 2; round++) {
        const client = broker.dial();
        client.send({ ...CONNECT, clientId: 'a', clean: false });
        present.push((await client.expect('connack'))['sessionPresent']);
        if (round === 0) await subscribe(client, { t: 1 });
        await broker.publish('t', 'x', { qos: 1 });
        assert.equal(told(await client.drain()), round === 0 ? ['t=x'] : []);
        client.destroy();
        await settle();
        await broker.publish('t', 'missed', { qos: 1 });
      }
      assert.equal(present, [false, false]);
    },
    { policy: strict() },
  ),
);

test(
  'without persistence $SYS and $share are refused whatever the policy says',
  withBroker(
    async (broker) => {
      const client = await broker.login();
      const answer = await subscribe(client, { '$SYS/#': 0, $SYS: 0, '$share/g/t': 0, $SYSx: 0 });
      assert.equal(answer['granted'], [128, 128, 128, 0]);
    },
    { policy: strict() },
  ),
);

test('each delivery is checked again: a right that ends stops a live subscription', async () => {
  let allowed = true;
  await withBroker(
    async (broker) => {
      const client = await broker.login();
      await subscribe(client, { t: 1 });
      await broker.publish('t', '1', { qos: 1 });
      assert.equal(told(await client.drain()), ['t=1']);
      allowed = false;
      await broker.publish('t', '2', { qos: 1 });
      await broker.publish('t', '3');
      assert.equal(told(await client.drain()), []);
    },
    { policy: strict({ deliver: () => allowed }) },
  )();
});

test('a check of delivery covers retained messages and those of a kept session', async () => {
  let allowed = true;
  await withBroker(
    async (broker) => {
      const kept = await broker.login('kept', { clean: false });
      await subscribe(kept, { t: 1 });
      kept.destroy();
      await settle();
      const publisher = await broker.login();
      publisher.send(publish('t', 'x', { qos: 1, messageId: 1, retain: true }));
      await publisher.drain();
      allowed = false;
      const again = await broker.login('kept', { clean: false });
      assert.equal(told(await again.drain()), []);
      await subscribe(again, { '#': 1 });
      assert.equal(told(await again.drain()), []);
    },
    { policy: { ...openPolicy, deliver: () => allowed } },
  )();
});

test('a denied filter beside a granted one is not stored with a kept session', async () => {
  await withBroker(
    async (broker) => {
      const client = await broker.login('kept', { clean: false });
      await subscribe(client, { good: 1, bad: 1 });
      client.destroy();
      await settle();
      await broker.publish('bad', 'x', { qos: 1 });
      await broker.publish('good', 'x', { qos: 1 });
      assert.equal(told(await (await broker.login('kept', { clean: false })).drain()), ['good=x']);
    },
    { policy: { ...openPolicy, subscribe: (_client, filter) => filter !== 'bad' } },
  )();
});

test('a hook that throws refuses, is reported, and the broker goes on', async () => {
  const bug = new Error('a bug');
  const fail = (): never => {
    throw bug;
  };
  const cases: Record<string, Partial<AccessPolicy>> = {
    publish: { publish: fail },
    onPublish: { onPublish: fail },
    subscribe: { subscribe: fail },
    deliver: { deliver: fail },
    connected: { connected: fail },
    disconnected: { disconnected: fail },
    initial: { initial: fail },
  };
  for (const [name, more] of Object.entries(cases))
    await withBroker(
      async (broker) => {
        const client = await broker.login();
        await subscribe(client, { t: 1 });
        await broker.publish('t', 'x');
        client.send(publish('t', 'x'));
        if (name === 'publish') await client.closed();
        else await client.drain();
        client.destroy();
        await settle();
        assert.is(broker.errors[0], bug, name);
        await broker.login('after');
      },
      { policy: strict(more) },
    )();
});

test('what a client is to know first is sent to it alone with the retain flag, and passes the check of delivery', async () => {
  const policy = strict({
    initial: async (client, filter) => [
      { topic: filter, payload: `for ${client.clientId}`, qos: 1 },
      { topic: 'hidden', payload: 'x' },
    ],
    deliver: (_client, topic) => topic !== 'hidden',
  });
  await withBroker(
    async (broker) => {
      const other = await broker.login('other');
      await subscribe(other, { 'state/1': 0 });
      assert.equal(
        (await other.drain()).map((packet) => [String(packet['payload']), packet['qos'], packet['retain']]),
        [['for other', 0, true]],
      );
      const client = await broker.login('me');
      await subscribe(client, { 'state/1': 1, hidden: 0 });
      assert.equal(
        (await client.drain()).map((packet) => [String(packet['payload']), packet['qos'], packet['retain']]),
        [['for me', 1, true]],
      );
      await broker.publish('state/1', 'live', { qos: 1 });
      assert.equal(
        (await client.drain()).map((packet) => packet['retain']),
        [false],
      );
      assert.equal(told(await other.drain()), ['state/1=live']);
    },
    { policy },
  )();
});

test('an initial publication that comes too late, or not at all, disturbs nothing', async () => {
  let answer: (() => void) | undefined;
  const policy = strict({
    initial: (_client, filter) =>
      new Promise((resolve) => {
        if (filter === 'late') answer = () => resolve([{ topic: 'late', payload: 'x' }]);
      }),
  });
  await withBroker(
    async (broker) => {
      const client = await broker.login();
      await subscribe(client, { late: 0, never: 0 });
      client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['late'] });
      await client.expect('unsuback');
      answer?.();
      assert.equal(await client.drain(), []);
      await until('the deadline', () => broker.errors.length === 1);
    },
    { policy, limits: { connectTimeoutMs: 50 } },
  )();
});

test('a client identifier belongs to whom the policy says: another user takes over nothing', async () => {
  const policy = strict({
    connect: ({ clientId, username }) => (clientId === username ? { ok: true, tag: null } : { ok: false, code: 5 }),
  });
  await withBroker(
    async (broker) => {
      const owner = await broker.login('me', { username: 'me' });
      const thief = broker.dial();
      thief.send({ ...CONNECT, clientId: 'me', username: 'thief' });
      assert.equal(
        (await thief.closed()).map((packet) => packet['returnCode']),
        [5],
      );
      assert.equal(await owner.drain(), []);
      assert.is(broker.connections().length, 1);
    },
    { policy },
  )();
});

test('a will that the policy does not let its client publish reaches nobody', async () => {
  const policy: AccessPolicy = {
    ...openPolicy,
    publish: (_client, { topic }) => (topic === 'w' ? 'disconnect' : 'allow'),
  };
  await withBroker(
    async (broker) => {
      const seen: string[] = [];
      broker.subscribe('#', (topic) => seen.push(topic));
      (await broker.login('a', { will: { topic: 'w', payload: 'x', qos: 1, retain: true } })).destroy();
      await settle();
      const late = await broker.login();
      await subscribe(late, { '#': 0 });
      assert.equal([seen, await late.drain()], [[], []]);
    },
    { policy },
  )();
});

test(
  'disconnect ends a connection at once, with its will, and says whether there was one',
  withBroker(async (broker) => {
    const witness = await broker.login('witness');
    await subscribe(witness, { will: 0 });
    const client = await broker.login('me', { will: { topic: 'will', payload: 'w', qos: 0, retain: false } });
    assert.is(broker.disconnect('me'), true);
    assert.is(broker.disconnect('me'), false);
    assert.is(broker.disconnect('nobody'), false);
    assert.equal(
      broker.connections().map(({ clientId }) => clientId),
      ['witness'],
    );
    await client.closed();
    assert.equal(told(await witness.drain()), ['will=w']);
    assert.equal(broker.cuts, ['me: disconnected by the server']);
  }),
);

test('publications allowed are on the bus in the order in which the policy hears of them', async () => {
  const heard: string[] = [];
  await withBroker(
    async (broker) => {
      const seen: string[] = [];
      broker.subscribe('#', (_topic, payload) => seen.push(String(payload)));
      const client = await broker.login();
      client.send(...Array.from({ length: 60 }, (_, n) => publish('t', String(n), { qos: n % 3, messageId: n + 1 })));
      await client.drain();
      assert.equal(
        seen,
        Array.from({ length: 60 }, (_, n) => String(n)),
      );
      assert.equal(heard, seen);
    },
    { policy: strict({ onPublish: (_client, _topic, payload) => void heard.push(String(payload)) }) },
  )();
});

test.run();
