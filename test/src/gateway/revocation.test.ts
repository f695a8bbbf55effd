import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventsOf } from '../../support/ears.ts';
import { eventually, type Json } from '../../support/gateway.ts';
import { within } from '../../support/mqtt-wire.ts';
import { ENDINGS } from './revocation/endings.ts';
import {
  begin,
  finish,
  heardNothingAfter,
  invite,
  isOver,
  isShutOut,
  leftOf,
  listen,
  logOf,
  revokeShare,
  say,
  type Stage,
} from './revocation/stage.ts';

/**
 * What the end of a right does at its edges (contract, section 6, "Revocation"): nothing later is delivered, on no
 * connection, and what was under way does not slip through.
 */
const test = suite<Stage>('the end of a right');

test.before.each(async (stage) => void Object.assign(stage, await begin()));
test.after.each(finish);

/**
 * Events that are let out in the same breath as the end of somebody, right after its last event and before the cut: once
 * that event is published and everybody inside has been told of it, whichever comes first.
 */
const followOn = (stage: Stage, [type, times]: readonly [type: string, times: number]): void => {
  const { bus } = stage.on.system;
  let [published, told] = [times, times];
  const proceed = (): void => {
    if (published !== 0 || told !== 0) return;
    for (let n = 0; n < 5; n += 1) say(stage, `in the same breath: ${n}`);
  };
  const unsubscribe = bus.subscribe(`arbor/v1/sessions/+/events/${type}/+`, () => {
    published -= 1;
    proceed();
  });
  const unlisten = stage.on.system.onEvent((event) => {
    if (event.type !== type) return;
    told -= 1;
    proceed();
  });
  stage.ends.push(unsubscribe, unlisten);
};

for (const [what, { invite: enter, end, words, closes, opens = false }] of Object.entries(ENDINGS))
  test(`${what}: nothing later is heard on any connection, and every one is closed`, async (stage) => {
    const { on } = stage;
    const guest = await enter(stage);
    const bystander = await invite(stage);
    const ends = await listen(stage, guest.client);
    const others = await listen(stage, bystander.client);
    for (let n = 0; n < 20; n += 1) say(stage, `before ${n}`);
    followOn(stage, closes);
    await end(stage, guest);
    const { seq: last } = await leftOf(stage, guest.client);
    for (let n = 0; n < 20; n += 1) say(stage, `later ${n}`);
    await isOver(ends);

    assert.ok((await logOf(stage)).length > last + 20, 'there was something to hear');
    heardNothingAfter(ends, last);
    for (const ear of ends)
      assert.equal(
        eventsOf(ear)
          .slice(-words.length)
          .map(({ type }) => type),
        words,
        ear.name,
      );
    await isShutOut(stage, guest.client);
    const late = await on.call('POST', '/v1/join', {
      token: null,
      body: { token: guest.share.token, client_type: 'web' },
    });
    assert.is(late.status, opens ? 201 : 401, late.text);

    // Who has nothing to do with it notices nothing.
    const { length } = await logOf(stage);
    for (const ear of others) {
      await eventually(`${ear.name} is up to date`, () => eventsOf(ear).at(-1)?.seq === length);
      const seqs = eventsOf(ear).map(({ seq }) => seq);
      assert.equal(
        seqs,
        seqs.map((_, index) => (seqs[0] as number) + index),
        ear.name,
      );
      assert.not.ok(ear.isOver());
    }
    assert.is((await on.call('GET', `/v1/executions/${stage.busy}`)).body.status, 'running');
  });

test('closing the session: session_closed is the last that anybody hears', async (stage) => {
  const { on, path, session } = stage;
  on.system.complete(stage.busy, null);
  const guest = await invite(stage);
  const ends = [...(await listen(stage, guest.client)), ...(await listen(stage, session))];
  const waiting = await stage.on.call('POST', `${path}/commands`, { body: { command: 'work' } });
  on.system.complete(waiting.body.execution_id, null);
  assert.is((await on.call('DELETE', path)).body.status, 'closed');
  await isOver(ends);
  for (const ear of ends) assert.is(eventsOf(ear).at(-1)?.type, 'session_closed', ear.name);
  await isShutOut(stage, guest.client);
  await isShutOut(stage, session);
  // Its owner still reads the log.
  assert.is((await logOf(stage)).at(-1).type, 'session_closed');
});

test('long-polls of whom it hits end with 401, and what was waited for is cancelled', async (stage) => {
  const { on, path, busy } = stage;
  const guest = await invite(stage);
  const other = await invite(stage);
  const { client_token: token } = guest.client;
  const body = { command: 'work', wait: 60 };
  const own = on.call('POST', `${path}/commands`, { token, body });
  const kept = on.call('POST', `${path}/commands`, { token: other.client.client_token, body });
  const polls = [
    on.call('GET', `/v1/executions/${busy}?wait=60`, { token }),
    on.call('GET', `/v1/executions/${busy}?wait=60`, { token }),
  ];
  await eventually('all wait', async () => (await on.call('GET', '/metrics')).text.includes('\narbor_waiters 4'));
  await revokeShare(stage, guest.share);
  for (const answer of await within('an answer', Promise.all([own, ...polls])))
    assert.equal([answer.status, answer.body.code], [401, 'unauthenticated']);
  const ends = (await logOf(stage)).filter(({ type }) => type === 'execution_cancelled');
  assert.equal(
    ends.map(({ data }) => [data.reason, data.execution_id]),
    [['revoked', await startedBy(stage, guest.client)]],
  );
  on.system.complete(await startedBy(stage, other.client), 'mine');
  assert.equal([(await kept).status, (await kept).body.result], [200, 'mine']);
  assert.is((await on.call('GET', `/v1/executions/${busy}`)).body.status, 'running');
});

/** The execution that a client has started. */
const startedBy = async (stage: Stage, { client_id }: Json): Promise<string> => {
  const queued = (await logOf(stage)).filter(
    ({ type, metadata }) => type === 'execution_queued' && metadata.client_id === client_id,
  );
  assert.is(queued.length, 1);
  return queued[0].data.execution_id;
};

test('a request behind the revocation is a 401 and changes nothing; what came before it is undone', async (stage) => {
  const { on, path } = stage;
  for (const position of [0, 1, 5, 9]) {
    const guest = await invite(stage);
    const { client_token: token, client_id } = guest.client;
    const requests: Promise<{ status: number; body: Json }>[] = [];
    let revoked: Promise<void> | null = null;
    for (let n = 0; n < 10; n += 1) {
      if (n === position) revoked = revokeShare(stage, guest.share);
      requests.push(on.call('POST', `${path}/commands`, { token, body: { command: 'work' } }));
      requests.push(on.call('GET', path, { token }));
    }
    await revoked;
    const answers = await within('every answer', Promise.all(requests));
    const codes = new Set(answers.map(({ status }) => status));
    for (const status of codes) assert.ok([200, 202, 401].includes(status), [...codes].join(' '));
    const log = await logOf(stage);
    const cut = log.find(({ type, data }) => type === 'client_left' && data.client_id === client_id);
    const started = log.filter(({ type, metadata }) => type === 'execution_queued' && metadata.client_id === client_id);
    assert.equal(
      started.filter(({ seq }) => seq > cut.seq),
      [],
      'nothing is accepted after it',
    );
    for (const { data } of started) {
      const ends = log.filter(
        (each) => each.data.execution_id === data.execution_id && each.type.endsWith('cancelled'),
      );
      assert.is(ends.length, 1, 'what was accepted before it is cancelled');
    }
    assert.equal(
      log.filter(({ type, data }) => type === 'security_violation' && data.client_id === client_id),
      [],
    );
    assert.is(answers.filter(({ status }) => status === 202).length <= started.length, true);
  }
});

test.run();
