import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { earOverSse, earOverTcp, type Ear } from '../../support/ears.ts';
import { eventually, type Json } from '../../support/gateway.ts';
import { dialTcp, within } from '../../support/mqtt-wire.ts';
import { ENDINGS, type Ending } from './revocation/endings.ts';
import { begin, finish, holdReads, invite, isOver, leftOf, revokeShare, say, type Stage } from './revocation/stage.ts';

/** What was being read for somebody when its right to it ends: answers, pages of a replay, files. */
const test = suite<Stage>('the end of a right, while reading');

test.before.each(async (stage) => void Object.assign(stage, await begin()));
test.after.each(finish);

for (const [what, { invite: enter, end, words }] of Object.entries(ENDINGS))
  test(`${what}: what was being read for it stays here`, async (stage) => {
    const { on, path, place, ears } = stage;
    const guest = await enter(stage);
    const { client_token: token, client_id, session_id } = guest.client;
    const base = `arbor/v1/sessions/${session_id}/clients/${client_id}`;
    const rpc = await earOverTcp(place, guest.client, { [`${base}/replies`]: 1 });
    ears.push(rpc);
    for (let n = 0; n < 20; n += 1) say(stage, `before ${n}`);
    const { held, letGo } = holdReads(stage);
    const page = on.call('GET', `${path}/events`, { token });
    const state = on.call('GET', path, { token });
    const stream = earOverSse(place, session_id, token, 0);
    await eventually('all three read', () => held() === 3);
    const writer = await rpcOf(stage, guest.client, 'events.list');
    await eventually('it reads as well', () => held() === 4);
    await end(stage, guest);
    await eventually('it is cut', () => rpc.isOver());
    letGo();
    for (const answer of await Promise.all([page, state])) assert.is(answer.status, 401, answer.text);
    const ear = await stream;
    ears.push(ear, writer);
    await isOver([ear]);
    const last = await leftOf(stage, guest.client);
    for (const { json } of ear.heard) {
      assert.ok(words.includes(json.type), json.type);
      if (json.type === 'client_left') assert.is(json.data.client_id, client_id);
      assert.ok(json.seq <= last.seq);
    }
    for (const { json } of rpc.heard) assert.is(json.error?.data.code, 'unauthenticated', JSON.stringify(json));
  });

/** Sends one JSON-RPC request on a connection of its own. */
const rpcOf = async ({ place }: Stage, client: Json, method: string): Promise<Ear> => {
  const base = `arbor/v1/sessions/${client.session_id}/clients/${client.client_id}`;
  const ear = await earOverTcp(place, client, { [`${base}/can`]: 0 }, ':rpc');
  ear.publish([`${base}/requests`, JSON.stringify({ jsonrpc: '2.0', id: 1, method })]);
  return ear;
};

/** Clients that come and go, so that the log is full of words for others. */
const traffic = async (stage: Stage): Promise<void> => {
  for (let n = 0; n < 3; n += 1) {
    const { share: made, client } = await invite(stage);
    if (n === 1) await stage.on.call('DELETE', `${stage.path}/clients/${client.client_id}`);
    else await revokeShare(stage, made);
  }
};

for (const [what, { invite: enter, end, words }] of Object.entries(ENDINGS))
  test(`${what}: in the middle of a replay, nothing of the page that was on its way`, async (stage) => {
    const guest = await enter(stage);
    await traffic(stage);
    const { held, letGo } = holdReads(stage, true);
    const ear = await earOverSse(stage.place, guest.client.session_id, guest.client.client_token, 0);
    stage.ears.push(ear);
    await eventually('it reads a page', () => held() === 1);
    await end(stage, guest);
    letGo();
    await isOver([ear]);
    const { client_id, session_id } = guest.client;
    for (const { json } of ear.heard) {
      assert.ok(words.includes(json.type), json.type);
      assert.is(json.session_id, session_id);
      const [who] = [json.data.client_id, ...(json.data.cut ?? [])].filter((id) => id === client_id);
      assert.is(who, client_id, 'a word for somebody else');
    }
  });

for (const what of ['its share is revoked', 'it is made to leave'] as const)
  test(`${what}: a reader that takes nothing gets no page later, and loses its stream`, async (stage) => {
    const { on, path, place } = stage;
    const { invite: enter, end } = ENDINGS[what] as Ending;
    const guest = await enter(stage);
    const chunk = 'x'.repeat(60_000);
    for (let n = 0; n < 200; n += 1) say(stage, chunk);
    const slow = await dialTcp(Number(new URL(place.http).port));
    const { stream } = slow;
    stream.removeAllListeners('data');
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    stream.once('data', () => {
      stream.pause();
      resolve();
    });
    stream.resume();
    stream.write(
      `GET ${path}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${guest.client.client_token}\r\n\r\n`,
    );
    await within('a beginning', begun);
    const streams = async (): Promise<string> =>
      /^arbor_streams (\d+)$/m.exec((await on.call('GET', '/metrics')).text)?.[1] ?? '';
    await eventually('it is full', async () => on.system.readCounts.events > 0 && (await streams()) === '1');
    await end(stage, guest);
    const { seq: last } = await leftOf(stage, guest.client);
    for (let n = 0; n < 50; n += 1) say(stage, chunk);
    await eventually('its place is free', async () => (await streams()) === '0');
    let text = '';
    stream.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
    stream.resume();
    await within('the end of it', new Promise((done) => stream.once('close', done)));
    const seqs = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    assert.ok((seqs.at(-1) ?? 0) <= last, `it got ${seqs.at(-1)} of ${last}`);
    assert.ok(seqs.length < 150, `it got ${seqs.length} events that lay in buffers`);
  });

test('a download that is under way ends with the right to it', async (stage) => {
  const { on, path, place, busy } = stage;
  const bytes = 48 * 1024 * 1024;
  const directory = join(on.directory, 'artifacts', busy);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'large'), Buffer.alloc(bytes, 'x'));
  const artifact = { name: 'large', bytes, sha256: '0'.repeat(64), media_type: 'text/plain' };
  on.system.report(busy, { type: 'execution.complete', start: 1, result: null, artifacts: [artifact] });
  const guest = await invite(stage);
  const other = await invite(stage);
  const fetchIt = async ({ client_token }: Json): Promise<{ readonly taken: () => number; rest(): Promise<void> }> => {
    const { stream } = await dialTcp(Number(new URL(place.http).port));
    stream.removeAllListeners('data');
    let taken = 0;
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    stream.on('data', (chunk: Buffer) => {
      taken += chunk.length;
      stream.pause();
      resolve();
    });
    stream.write(
      `GET /v1/executions/${busy}/artifacts/large HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${client_token}\r\n\r\n`,
    );
    await within('a beginning', begun);
    return {
      taken: () => taken,
      rest: async () => {
        const closed = new Promise<void>((done) => stream.once('close', () => done()));
        stream.removeAllListeners('data').on('data', (chunk: Buffer) => (taken += chunk.length));
        stream.resume();
        await within('the end of the download', closed);
      },
    };
  };
  const [one, two] = await Promise.all([fetchIt(guest.client), fetchIt(other.client)]);
  await revokeShare(stage, guest.share);
  await leftOf(stage, guest.client);
  assert.is((await on.call('GET', path, { token: guest.client.client_token })).status, 401);
  await Promise.all([one.rest(), two.rest()]);
  assert.ok(one.taken() < bytes / 2, `it got ${one.taken()} bytes`);
  assert.ok(two.taken() > bytes, `the other got ${two.taken()} bytes`);
});

test.run();
