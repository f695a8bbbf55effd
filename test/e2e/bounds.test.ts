// limit: 300 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isTerminalEvent } from '../../machines/event.ts';
import { repliesTopic, requestsTopic } from '../../machines/topic.ts';
import { CONNECT, dialTcp, publish, subscribe, within } from '../support/mqtt-wire.ts';
import { createWorkspace, eventually, type Answer, type Json, type ServerProcess } from '../support/server.ts';
import { watchSse } from './witness.ts';

/** Promises 7, 8 and 14: every queue has a bound with a stated answer, every call ends, one spinning handler stops nobody. */
const test = suite('bounds');

const FOREVER = { command: 'slow', args: { ms: 600_000 } };
/** The contract's section 2. */
const [QUEUED, CLIENTS, IN_FLIGHT] = [1_000, 100, 64];

const assertOverloaded = (answer: Answer): void => {
  assert.is(answer.status, 503, answer.text);
  assert.is(answer.body.code, 'overloaded', answer.text);
  assert.ok(Number(answer.headers.get('retry-after')) >= 1, 'Retry-After says when');
};

const allExecutions = async (server: ServerProcess, session: string): Promise<Json[]> => {
  const all: Json[] = [];
  for (let next: string | null = ''; next !== null; ) {
    const { body } = await server.call(
      'GET',
      `/v1/sessions/${session}/executions?limit=1000${next && `&after=${next}`}`,
    );
    all.push(...body.items);
    next = body.next as string | null;
  }
  return all;
};

/** Accepts what runs for ever until the first refusal, by some callers at once; answers the ids and the refusals. */
const fill = async (server: ServerProcess, session: string): Promise<{ accepted: string[]; refused: Answer[] }> => {
  const accepted: string[] = [];
  const refused: Answer[] = [];
  const lane = async (): Promise<void> => {
    while (refused.length === 0) {
      const answer = await server.execute(session, FOREVER);
      if (answer.status === 202) accepted.push(answer.body.execution_id as string);
      else refused.push(answer);
    }
  };
  await within('end of the filling', Promise.all(Array.from({ length: 16 }, lane)), 120_000);
  return { accepted, refused };
};

test('the queue of a session: 503 with Retry-After, uncharged, and nothing that was accepted is lost', async () => {
  await using space = createWorkspace();
  const server = await space.serve({ config: space.config({ commands: ['no-op', 'slow'], agents: { threads: 2 } }) });
  const { session_id: session } = await server.open();
  const { accepted, refused } = await fill(server, session);
  for (const answer of refused) assertOverloaded(answer);

  const statuses = (await allExecutions(server, session)).map(({ status }) => status as string);
  assert.is(statuses.length, accepted.length, 'a refusal leaves no execution');
  const queued = statuses.filter((status) => status === 'queued').length;
  assert.ok(queued <= QUEUED, `${queued} are queued`);
  assert.ok(queued >= QUEUED - 16, `the bound is not reached with ${queued} queued`);
  const log = await server.events(session);
  assert.is(log.filter(({ type }) => type === 'execution_queued').length, accepted.length, 'nor an event');

  // One that ends makes room, for as many as have ended.
  const last = accepted.at(-1) as string;
  assert.is((await server.call('DELETE', `/v1/executions/${last}`)).status, 200);
  await eventually('room after a cancel', async () => (await server.execute(session, FOREVER)).status === 202);

  // Another session has a queue of its own.
  const other = await server.open();
  assert.is((await server.execute(other.session_id, { command: 'no-op' })).status, 202);

  assert.is((await server.call('DELETE', `/v1/sessions/${session}`)).status, 200);
  await eventually(
    'the close',
    async () => (await server.call('GET', `/v1/sessions/${session}`)).body.status === 'closed',
  );
  const ends = (await server.events(session))
    .filter(({ type }) => isTerminalEvent(type))
    .map(({ data }) => data['execution_id']);
  assert.is(new Set(ends).size, ends.length, 'none has ended twice');
  assert.is(ends.length, accepted.length + 1, 'each has ended');
  assert.equal(
    accepted.filter((id) => !ends.includes(id)),
    [],
  );
  await eventually('the other session has its turn', async () =>
    (await server.events(other.session_id)).some(({ type }) => type === 'execution_completed'),
  );
});

test('the queue of all sessions: 503 with Retry-After', async () => {
  await using space = createWorkspace();
  const limits = { queued_executions: 5 };
  const server = await space.serve({ config: space.config({ commands: ['slow'], agents: { threads: 1 }, limits }) });
  const [one, two] = [await server.open(), await server.open()];
  const { accepted, refused } = await fill(server, one.session_id);
  for (const answer of refused) assertOverloaded(answer);
  assertOverloaded(await server.execute(two.session_id, FOREVER));
  assert.equal(
    (await server.events(two.session_id)).filter(({ type }) => type.startsWith('execution_')),
    [],
  );
  for (const id of accepted) assert.is((await server.call('DELETE', `/v1/executions/${id}`)).status, 200);
  await eventually('room again', async () => (await server.execute(two.session_id, FOREVER)).status === 202);
});

test('clients of a session: 409', async () => {
  await using space = createWorkspace();
  const server = await space.serve();
  const { session_id: session, client_id } = await server.open();
  const register = (): Promise<Answer> =>
    server.call('POST', `/v1/sessions/${session}/clients`, { body: { client: { type: 'web' } } });
  const answers = await Promise.all(Array.from({ length: CLIENTS + 10 }, register));
  const statuses = answers.map(({ status }) => status);
  assert.is(statuses.filter((status) => status === 201).length, CLIENTS - 1);
  const refused = answers.filter(({ status }) => status !== 201);
  for (const { status, body } of refused) assert.equal([status, body.code], [409, 'conflict']);
  const joined = (await server.events(session)).filter(({ type }) => type === 'client_joined');
  assert.is(joined.length, CLIENTS);
  // A place that is left is free again.
  assert.is((await server.call('DELETE', `/v1/sessions/${session}/clients/${client_id}`)).status, 200);
  assert.is((await register()).status, 201);
  assert.is((await register()).status, 409);
});

test('long-polls and streams: 503, and they end at their deadline', async () => {
  await using space = createWorkspace();
  const limits = { streams: 3 };
  const server = await space.serve({ config: space.config({ commands: ['slow'], limits }) });
  const { session_id: session } = await server.open();

  const started = performance.now();
  const accepted = await server.execute(session, FOREVER, 'wait=1');
  assert.equal([accepted.status, accepted.body.status, accepted.body.mode], [202, 'pending', 'async'], accepted.text);
  assert.ok(performance.now() - started >= 990, 'it waited as long as it was asked to');
  assert.is(accepted.headers.get('location'), accepted.body.poll_url);
  assert.ok(Number(accepted.headers.get('retry-after')) >= 1);

  const before = performance.now();
  const polled = await server.call('GET', `${accepted.body.poll_url}?wait=1`);
  assert.equal([polled.status, polled.body.status], [200, 'running'], polled.text);
  assert.ok(performance.now() - before >= 990);

  const streams = [await watchSse(server, session, server.key), await watchSse(server, session, server.key)];
  const poll = server.call('GET', `${accepted.body.poll_url}?wait=60`);
  const full = (): Promise<Answer> => server.call('GET', `${accepted.body.poll_url}?wait=60`);
  let refusal: Answer | null = null;
  // Whichever of the two comes second is refused; the other one waits.
  const second = full();
  refusal = await within('a refusal', Promise.race([poll, second]), 30_000);
  assertOverloaded(refusal);
  const stream = await server.call('GET', `/v1/sessions/${session}/events`, {
    headers: { accept: 'text/event-stream' },
  });
  assertOverloaded(stream);
  // What is accepted is accepted, also where there is no place to wait.
  const unwaited = await server.execute(session, FOREVER, 'wait=60');
  assert.equal([unwaited.status, unwaited.body.status], [202, 'pending']);

  for (const { end, over } of streams) {
    end();
    await within('end of the stream', over);
  }
  await eventually('a place for a stream', async () => {
    const witness = await watchSse(server, session, server.key).catch(() => null);
    witness?.end();
    return witness !== null;
  });
  assert.is((await server.call('DELETE', `/v1/executions/${accepted.body.execution_id}`)).status, 200);
  const ended = await within('end of both polls', Promise.all([poll, second]), 30_000);
  assert.equal(ended.map(({ status }) => status).toSorted(), [200, 503]);
});

test('JSON-RPC in flight: an error at once, and the others get their answers', async () => {
  await using space = createWorkspace();
  const server = await space.serve({ config: space.config({ commands: ['slow'] }) });
  const own = await server.open();
  const { execution_id } = (await server.execute(own.session_id, FOREVER)).body;
  const client = await dialTcp(server.mqttPort);
  const { client_id, client_token, session_id } = own;
  client.send({ ...CONNECT, clientId: client_id, username: client_id, password: client_token });
  await client.expect('connack');
  await subscribe(client, { [repliesTopic(session_id, client_id)]: 0 });
  const extra = 6;
  const requests = Array.from({ length: IN_FLIGHT + extra }, (_, id) =>
    publish(
      requestsTopic(session_id, client_id),
      JSON.stringify({ jsonrpc: '2.0', id, method: 'executions.get', params: { execution_id, wait: 60 } }),
    ),
  );
  client.send(...requests);
  const reply = async (): Promise<Json> => JSON.parse(String((await client.expect('publish'))['payload']));
  for (let n = 0; n < extra; n += 1) {
    const { id, error } = await reply();
    assert.equal([id, error.data.code], [IN_FLIGHT + n, 'overloaded']);
    assert.ok(error.data.retry_after >= 1);
  }
  assert.is((await server.call('DELETE', `/v1/executions/${execution_id}`)).status, 200);
  const ids: number[] = [];
  for (let n = 0; n < IN_FLIGHT; n += 1) {
    const { id, result } = await reply();
    assert.is(result.status, 'cancelled');
    ids.push(id);
  }
  assert.equal(
    ids.toSorted((a, b) => a - b),
    Array.from({ length: IN_FLIGHT }, (_, id) => id),
  );
  client.destroy();
});

test('failed logins of an address: HTTP and MQTT count together, and who is known keeps in', async () => {
  await using space = createWorkspace();
  const limits = { failed_logins: 6 };
  const server = await space.serve({ config: space.config({ commands: ['no-op'], limits }) });
  const own = await server.open();
  const login = async (password: string): Promise<unknown> => {
    const client = await dialTcp(server.mqttPort);
    client.send({ ...CONNECT, clientId: own.client_id, username: own.client_id, password });
    const { returnCode } = await client.expect('connack');
    client.destroy();
    return returnCode;
  };
  const wrong = `${own.client_token.slice(0, -4)}nope`;
  for (let n = 0; n < 3; n += 1) assert.is(await login(wrong), 5);
  for (let n = 0; n < 3; n += 1) assert.is((await server.call('GET', '/v1/sessions', { token: wrong })).status, 401);
  const blocked = await server.call('GET', '/v1/sessions', { token: wrong });
  assert.equal([blocked.status, blocked.body.code], [429, 'rate_limited'], blocked.text);
  assert.ok(Number(blocked.headers.get('retry-after')) >= 1);
  assert.is(await login(wrong), 3, 'no login over MQTT either');
  const known = await server.execute(own.session_id, { command: 'no-op' }, 'wait=30', own.client_token);
  assert.is(known.status, 200, known.text);
});

test('a handler that spins is timed out; other sessions go on, and its thread comes back', async () => {
  await using space = createWorkspace();
  const server = await space.serve({
    config: space.config({ commands: ['no-op', 'spin', 'fill-heap', 'crash'], agents: { threads: 2 } }),
  });
  const [bad, good] = [await server.open(), await server.open()];
  const spin = await server.execute(bad.session_id, { command: 'spin', timeout: 2 });
  for (let n = 0; n < 5; n += 1) {
    const { body, text } = await server.execute(good.session_id, { command: 'no-op', args: { value: n } }, 'wait=60');
    assert.equal([body.status, body.result?.value], ['completed', n], text);
  }
  const ended = await server.call('GET', `/v1/executions/${spin.body.execution_id}?wait=60`);
  assert.equal([ended.body.status, ended.body.error.code], ['timed_out', 'timed_out'], ended.text);

  // Every thread spins, one dies, one fills its heap: what comes after costs others time, and nothing else.
  for (const body of [
    { command: 'spin', timeout: 1 },
    { command: 'spin', timeout: 1 },
    { command: 'crash', args: { how: 'exit' }, timeout: 60 },
    { command: 'fill-heap', args: { with: 'objects' }, timeout: 8 },
  ])
    assert.is((await server.execute(bad.session_id, body)).status, 202);
  const { body, text } = await server.execute(
    good.session_id,
    { command: 'no-op', args: { value: 'after' } },
    'wait=60',
  );
  assert.equal([body.status, body.result?.value], ['completed', 'after'], text);
  await eventually('the end of all of them', async () => {
    const log = await server.events(bad.session_id);
    return log.filter(({ type }) => isTerminalEvent(type)).length === 5;
  });
  const last = (await server.events(bad.session_id))
    .filter(({ type }) => isTerminalEvent(type))
    .map(({ type }) => type);
  assert.equal(
    last.filter((type) => type === 'execution_completed'),
    [],
  );
  const log = await server.events(good.session_id);
  assert.is(log.filter(({ type }) => type === 'execution_completed').length, 6);
  assert.is((await server.call('GET', '/readyz')).status, 200);
});

test.run();
