import { connect, type Socket } from 'node:net';
import { createParser } from 'eventsource-parser';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startGateway, type Json, type TestGateway } from '../../support/gateway.ts';

const test = suite<{ on: TestGateway; session: Json }>('events as a stream');

test.before.each(async (context) => {
  context.on = await startGateway({ limits: { heartbeatMs: 20, stalledMs: 200 } });
  context.session = await context.on.open();
});
test.after.each(async ({ on }) => on.close());

interface Reader {
  readonly status: number;
  readonly events: { readonly id: string | undefined; readonly data: Json }[];
  readonly comments: string[];
  ended: boolean;
  close(): void;
}

const read = async (
  on: TestGateway,
  path: string,
  token: string,
  headers: Record<string, string> = {},
): Promise<Reader> => {
  const controller = new AbortController();
  const answer = await fetch(on.url + path, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...headers },
    signal: controller.signal,
  });
  const reader: Reader = {
    status: answer.status,
    events: [],
    comments: [],
    ended: false,
    close: () => controller.abort(),
  };
  const parser = createParser({
    onEvent: ({ id, data }) => void reader.events.push({ id, data: JSON.parse(data) }),
    onComment: (comment) => void reader.comments.push(comment),
  });
  const body = answer.body as ReadableStream<Uint8Array>;
  void (async () => {
    try {
      for await (const chunk of body.pipeThrough(new TextDecoderStream())) parser.feed(chunk);
    } catch {
      // Closed by the test.
    }
    reader.ended = true;
  })();
  return reader;
};

const seqs = ({ events }: Reader): number[] => events.map(({ data }) => data.seq);

test('replays, then follows, while events keep coming', async ({ on, session }) => {
  const path = `/v1/sessions/${session.session_id}`;
  const work = async () => (await on.call('POST', `${path}/commands`, { body: { command: 'work' } })).body.execution_id;
  for (let n = 0; n < 5; n++) await work();
  const [one, two] = await Promise.all([
    read(on, `${path}/events`, session.client_token),
    read(on, `${path}/events?after=3`, on.owner),
  ]);
  assert.is(one.status, 200);
  const ids = await Promise.all(Array.from({ length: 10 }, work));
  for (const id of ids) on.system.complete(id, null);
  const late = await read(on, `${path}/events`, on.owner, { 'last-event-id': '7' });
  await eventually('all is there', async () => {
    const { last } = await on.system.reads.events(session.session_id, { after: 0, limit: 1 });
    return [one, two, late].every((reader) => seqs(reader).at(-1) === last);
  });
  const all = seqs(one);
  assert.equal(
    all,
    all.map((_, index) => index + 1),
  );
  assert.equal(seqs(two), all.slice(3));
  assert.equal(seqs(late), all.slice(7));
  assert.equal(
    one.events.map(({ id }) => Number(id)),
    all,
  );
  await eventually('it beats', () => one.comments.length > 2);
  for (const reader of [one, two, late]) reader.close();
  await eventually('its place is free', async () =>
    (await on.call('GET', '/metrics')).text.includes('\narbor_streams 0'),
  );
});

test('chooses types, in replay and after', async ({ on, session }) => {
  const path = `/v1/sessions/${session.session_id}`;
  const reader = await read(on, `${path}/events?types=client_joined,client_left`, on.owner);
  const joined = await on.call('POST', `${path}/clients`, { body: { client_type: 'web' } });
  await on.call('POST', `${path}/commands`, { body: { command: 'work' } });
  await on.call('DELETE', `${path}/clients/${joined.body.client_id}`);
  await eventually('both', () => reader.events.length === 3);
  assert.equal(
    reader.events.map(({ data }) => data.type),
    ['client_joined', 'client_joined', 'client_left'],
  );
  reader.close();
});

test('refuses as any call does, before the stream begins', async ({ on, session }) => {
  const path = `/v1/sessions/${session.session_id}/events`;
  const accept = { accept: 'text/event-stream' };
  assert.is((await on.call('GET', path, { token: null, headers: accept })).status, 401);
  assert.is((await on.call('GET', path, { token: await on.keyOf('mallory'), headers: accept })).status, 404);
  assert.is((await on.call('GET', path, { headers: { ...accept, 'last-event-id': 'x' } })).status, 400);
  const ahead = await on.call('GET', `${path}?after=1000`, { headers: accept });
  assert.is(ahead.status, 400);
  on.system.forget(session.session_id, 1);
  const expired = await on.call('GET', path, { headers: accept });
  assert.is(expired.status, 410);
  assert.is(expired.body.first, 2);
});

test('a client that is cut hears its last event and loses its stream', async ({ on, session }) => {
  const { session_id, client_id, client_token } = session;
  const reader = await read(on, `/v1/sessions/${session_id}/events`, client_token);
  await on.call('DELETE', `/v1/sessions/${session_id}/clients/${client_id}`);
  await eventually('it ended', () => reader.ended);
  assert.is(reader.events.at(-1)?.data.type, 'client_left');
});

test('closing the session ends its clients’ streams after session_closed', async ({ on, session }) => {
  const reader = await read(on, `/v1/sessions/${session.session_id}/events`, session.client_token);
  await on.call('DELETE', `/v1/sessions/${session.session_id}`);
  await eventually('it ended', () => reader.ended);
  assert.is(reader.events.at(-1)?.data.type, 'session_closed');
});

test('a revoked key loses its stream', async ({ on, session }) => {
  const reader = await read(on, `/v1/sessions/${session.session_id}/events`, on.owner);
  const id = on.owner.split('.')[0] as string;
  const stored = await on.system.keys.find(id);
  await on.system.keys.put({ ...(stored as NonNullable<typeof stored>), revoked_at: 1 });
  await eventually('it ended', () => reader.ended);
});

test('a reader that takes nothing is cut off, and costs nobody else anything', async ({ on, session }) => {
  const path = `/v1/sessions/${session.session_id}`;
  const { body } = await on.call('POST', `${path}/commands`, { body: { command: 'work' } });
  const { hostname, port } = new URL(on.url);
  const slow = await new Promise<Socket>((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.write(
        `GET ${path}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${on.owner}\r\n\r\n`,
      );
      socket.once('data', () => resolve(socket.pause()));
    });
    socket.once('error', reject);
  });
  let closed = false;
  slow.on('close', () => {
    closed = true;
  });
  const quick = await read(on, `${path}/events`, on.owner);
  const chunk = 'x'.repeat(60_000);
  for (let n = 0; n < 200; n++) {
    on.system.report(body.execution_id, { type: 'execution.output', start: 1, stream: 'stdout', chunk });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually('the slow one is cut', async () =>
    (await on.call('GET', '/metrics')).text.includes('arbor_streams_cut_total 1'),
  );
  await eventually(
    'the quick one has all',
    () => quick.events.filter(({ data }) => data.type === 'execution_output').length === 200,
  );
  slow.resume();
  await eventually('it is closed', () => closed);
  assert.equal(
    seqs(quick),
    seqs(quick).map((_, index) => index + 1),
  );
  quick.close();
});

test.run();
