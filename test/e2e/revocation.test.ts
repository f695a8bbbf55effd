// limit: 180 s
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { connackOf, earOverSse, earOverTcp, eventsOf, type Ear, type Place } from '../support/ears.ts';
import { hasMosquitto, program } from '../support/mqtt-programs.ts';
import { within } from '../support/mqtt-wire.ts';
import { createWorkspace, eventually } from '../support/server.ts';
import { createScenes, noticesNothing, ok, pathsOf, type Guest, type Scene } from './scene.ts';

/**
 * The end of a right on a real server, while much happens: nothing that was committed after it is delivered on any
 * connection (contract, section 6, "Revocation", and promise 11), and those whom it does not hit notice nothing.
 */
const test = suite('the end of a right, under load');

const space = createWorkspace();
const server = await space.serve({ config: space.config({ commands: ['no-op', 'slow'], agents: { threads: 12 } }) });
const place: Place = { http: server.http, mqttPort: server.mqttPort };
test.after(async () => space[Symbol.asyncDispose]());

/** What a test has started; it ends with the test, however that ends. */
const started: (() => Promise<void> | void)[] = [];
test.after.each(async () => {
  for (const end of started.splice(0).toReversed()) await end();
});

const { openScene, share, joinBy, invite, listen, makeNoise, startSlow, pesterWith, isShutOut } = createScenes(
  server,
  place,
  started,
);

/** Seconds that a capability lasts where its end is its time. */
const LIFETIME_S = 2;

/** A guest that leaves others a place to run: its own executions are to be live when its right ends. */
const inviteFew = (scene: Scene, constraints: object = {}): Promise<Guest> =>
  invite(scene, { constraints: { max_concurrent: 5, ...constraints } });

interface Ending {
  readonly invite: (scene: Scene) => Promise<Guest>;
  readonly end: (scene: Scene, guest: Guest) => Promise<unknown>;
  /** What it hears of it before it is cut. */
  readonly words: readonly string[];
  /** What it had started is cancelled. */
  readonly cancels: boolean;
}

const REVOKED = ['capability_revoked', 'client_left'];
const revoke = async (target: string): Promise<unknown> => ok(await server.call('DELETE', target), 200);

const ENDINGS: Readonly<Record<string, Ending>> = {
  'its share is revoked': {
    invite: inviteFew,
    end: (_, guest) => revoke(`/v1/shares/${guest.share.share_id}`),
    words: REVOKED,
    cancels: true,
  },
  'its capability is revoked': {
    invite: inviteFew,
    end: (_, guest) => revoke(`/v1/capabilities/${guest.share.capability.id}`),
    words: REVOKED,
    cancels: true,
  },
  'what its share descends from is revoked': {
    invite: async (scene) => {
      const root = await inviteFew(scene, { may_share: true });
      const second = await share(scene, { constraints: { may_share: true } }, root.client.client_token);
      const middle = await joinBy(second.token);
      const third = await share(scene, {}, middle.client_token);
      return { share: { ...third, root: root.share.share_id }, client: await joinBy(third.token) };
    },
    end: (_, guest) => revoke(`/v1/shares/${guest.share.root}`),
    words: REVOKED,
    cancels: true,
  },
  'its time is over': {
    invite: (scene) => inviteFew(scene, { expires_in: LIFETIME_S }),
    end: async () => {},
    words: REVOKED,
    cancels: false,
  },
  'it leaves': {
    invite: inviteFew,
    end: ({ path }, { client }) =>
      server.call('DELETE', `${path}/clients/${client.client_id}`, { token: client.client_token }),
    words: ['client_left'],
    cancels: false,
  },
};

/**
 * A guest with all its ears, and something that it has started; where its time is short it may be over before that, and
 * another comes.
 */
const settleIn = async (scene: Scene, enter: Ending['invite']) => {
  for (let tries = 1; ; tries += 1) {
    const guest = await enter(scene);
    try {
      const ears = await listen(guest.client);
      const slow = await startSlow(scene, guest.client.client_token, 60_000);
      await eventually('they hear', () => ears.every((ear) => eventsOf(ear).length > 5), 10_000);
      return { ...guest, ears, slow };
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
};

for (const [what, { invite: enter, end, words, cancels }] of Object.entries(ENDINGS))
  test(`${what}: nothing later is heard, nothing later is done, and nobody else notices`, async () => {
    const scene = await openScene();
    const { session, path } = scene;
    const bystander = await invite(scene, { constraints: { max_operations: 10 } });
    const kept = await listen(bystander.client);
    const running = await startSlow(scene, bystander.client.client_token, 1_500);
    const noise = makeNoise(session.session_id);
    const guest = await settleIn(scene, enter);
    const { client, ears, slow } = guest;
    const { client_id, client_token: token } = client;
    const polls = [
      server.call('GET', `/v1/executions/${slow}?wait=60`, { token }),
      server.call('GET', `/v1/executions/${running}?wait=60`, { token }),
    ].map((poll, n) => (n === 0 ? poll : poll.catch(() => null)));

    const early = pesterWith(scene, client);
    await end(scene, guest);
    const late = pesterWith(scene, client);
    const leftAt = async (): Promise<number> =>
      (await server.call('GET', `${path}/events?types=client_left`)).body.events.find(
        ({ data }: Event) => data['client_id'] === client_id,
      )?.seq ?? 0;
    await eventually('it has left', async () => (await leftAt()) > 0);
    const last = await leftAt();
    await within('end of every connection', Promise.all(ears.map(({ over }) => over)), 30_000);
    // It goes on for a good while after that.
    await eventually('much more', async () => (await server.call('GET', path)).body.seq > last + 100);
    await noise.stop();

    for (const ear of ears) {
      const after = (eventsOf(ear) as Event[]).filter(({ seq }) => seq > last).map(({ seq, type }) => [seq, type]);
      assert.equal(after, [], `${ear.name} heard something after ${last}`);
      const said = (eventsOf(ear) as Event[]).slice(-words.length).map(({ type }) => type);
      assert.equal(said, words, `${ear.name} heard why`);
    }
    await isShutOut(scene, client);

    // What was asked for around it: done before, or refused, and never anything else.
    const answers = await Promise.all([...early.answers, ...late.answers]);
    for (const { status, text } of answers) assert.ok([200, 202, 401, 429].includes(status), text);
    const done = await Promise.allSettled([early.ear, late.ear]);
    for (const each of done) {
      if (each.status === 'rejected') continue;
      await within('end of its connection', each.value.over, 30_000);
      for (const { json } of each.value.heard) {
        const code = json.error?.data.code ?? json.result?.status;
        assert.ok(['pending', 'rate_limited', 'unauthenticated'].includes(code), JSON.stringify(json));
      }
    }
    assert.equal((await polls[0])?.status, 401);
    const log = await server.events(session.session_id);
    const own = log.filter(({ type, metadata }) => type === 'execution_queued' && metadata.client_id === client_id);
    assert.equal(
      own.filter(({ seq }) => seq > last),
      [],
      'nothing is accepted later',
    );
    const endOf = (id: unknown): Event | undefined =>
      log.find(({ type, data }) => type === 'execution_cancelled' && data['execution_id'] === id);
    for (const { data } of own)
      assert.equal(
        endOf(data['execution_id'])?.data['reason'],
        cancels ? 'revoked' : undefined,
        'and what was is undone',
      );
    assert.ok(own.some(({ data }) => data['execution_id'] === slow));
    for (const { data } of cancels ? [] : own)
      await server.call('DELETE', `/v1/executions/${data['execution_id'] as string}`);

    await eventually(
      'the others’ execution',
      async () => (await server.call('GET', `/v1/executions/${running}`)).body.status === 'completed',
    );
    await noticesNothing(kept, log);
  });

test('closing the session: session_closed is the last that anybody hears, after what ran was cancelled', async () => {
  const scene = await openScene();
  const { session, path } = scene;
  const guest = await invite(scene);
  const ears = [...(await listen(guest.client)), ...(await listen(session))];
  const running = [
    await startSlow(scene, guest.client.client_token, 60_000),
    await startSlow(scene, session.client_token, 60_000),
  ];
  const noise = makeNoise(session.session_id);
  await eventually('they hear', () => ears.every((ear) => eventsOf(ear).length > 20));
  await revoke(path);
  await within('end of every connection', Promise.all(ears.map(({ over }) => over)), 60_000);
  await noise.stop();
  const log = await server.events(session.session_id);
  assert.is(log.at(-1)?.type, 'session_closed');
  for (const id of running)
    assert.ok(log.some(({ type, data }) => type === 'execution_cancelled' && data['execution_id'] === id));
  for (const ear of ears) {
    const events = eventsOf(ear) as Event[];
    assert.is(events.at(-1)?.seq, log.length, `${ear.name} heard it`);
    assert.equal(events, log.slice(log.length - events.length), ear.name);
  }
  await isShutOut(scene, guest.client);
  await isShutOut(scene, session);
  assert.is(
    (await server.call('POST', '/v1/join', { token: null, body: { token: guest.share.token, client_type: 'web' } }))
      .status,
    401,
  );
});

test('a revoked key: an operator’s connections, the streams and long-polls of whoever used it', async () => {
  const make = async (principal: string): Promise<{ key: string; id: string }> => {
    const made = ok(await server.call('POST', '/v1/keys', { body: { principal, operator: true } }), 201);
    return { key: made.api_key, id: made.key_id };
  };
  const [gone, kept] = [await make('ops'), await make('ops')];
  const opened = ok(
    await server.call('POST', '/v1/sessions', { token: gone.key, body: { client: { type: 'cli' } } }),
    201,
  );
  const inboxes = 'arbor/v1/actors/+/+/+/+';
  const asOperator = (key: string, suffix: string): Promise<Ear> =>
    earOverTcp(place, { client_id: 'ops', client_token: key }, { [inboxes]: 0 }, suffix, 'op');
  const [one, two, other] = await Promise.all([
    asOperator(gone.key, ':1'),
    asOperator(gone.key, ':2'),
    asOperator(kept.key, ':3'),
  ]);
  const stream = await earOverSse(place, opened.session_id, gone.key);
  const [client, second] = [
    await earOverSse(place, opened.session_id, opened.client_token),
    await earOverSse(place, opened.session_id, kept.key),
  ];
  started.push(...[one, two, other, stream, client, second].map(({ end }) => end));
  const { execution_id } = ok(
    await server.execute(opened.session_id, { command: 'slow', args: { ms: 60_000 } }, 'respond-async', gone.key),
    202,
  );
  const poll = server.call('GET', `/v1/executions/${execution_id}?wait=60`, { token: gone.key });
  await eventually('they hear', () => [one, two, other].every(({ heard }) => heard.length > 0));
  const noise = makeNoise((await server.open()).session_id);
  await revoke(`/v1/keys/${gone.id}`);
  await within('end of its connections', Promise.all([one, two, stream].map(({ over }) => over)), 30_000);
  const { length } = other.heard;
  await eventually('the other hears on', () => other.heard.length > length + 50);
  await noise.stop();
  assert.equal((await poll).status, 401);
  for (const clientId of ['op:1', 'op:9'])
    assert.is(await connackOf(place, { clientId, username: 'ops', password: gone.key }), 5);
  assert.is((await server.call('GET', '/v1/sessions', { token: gone.key })).status, 401);
  // What it had started and opened is the principal's, whose other key goes on.
  ok(await server.call('DELETE', `/v1/executions/${execution_id}`, { token: kept.key }), 200);
  for (const ear of [client, second]) {
    await eventually(`${ear.name} goes on`, () => eventsOf(ear).at(-1)?.type === 'execution_cancelled');
    assert.not.ok(ear.isOver());
  }
});

test('mosquitto_sub: it is told why, is disconnected, and may not come back', async () => {
  if (!hasMosquitto()) {
    process.stdout.write('# skip mosquitto_sub: mosquitto-clients are not installed\n');
    return;
  }
  const scene = await openScene();
  const { client, share: made } = await invite(scene);
  const { events, state, can } = pathsOf(client);
  const login = ['-h', '127.0.0.1', '-p', String(server.mqttPort), '-V', 'mqttv311', '-u', client.client_id];
  const secret = ['-i', `${client.client_id}:sub`, '-P', client.client_token, '-q', '1', '-v'];
  const topics = [`${events}/#`, `${events}/+/+`, state, can].flatMap((topic) => ['-t', topic]);
  const sub = program('mosquitto_sub', [...login, ...secret, ...topics]);
  started.push(() => void sub.child.kill('SIGKILL'));
  await sub.said(`${state} {`);
  const noise = makeNoise(scene.session.session_id);
  await sub.said('execution_completed');
  await revoke(`/v1/shares/${made.share_id}`);
  // It reconnects by itself, and hears that it is not authorised.
  const { code, out, err } = await sub.ended();
  await noise.stop();
  assert.is(code, 5, err);
  const log = await server.events(scene.session.session_id);
  const last = log.find(({ type }) => type === 'client_left')?.seq ?? 0;
  const heard = out
    .split('\n')
    .filter((line) => line.startsWith(`${events}/`))
    .map((line) => JSON.parse(line.slice(line.indexOf(' ') + 1)) as Event);
  assert.ok(log.length > last + 3);
  assert.equal(
    heard.filter(({ seq }) => seq > last),
    [],
  );
  assert.equal(
    heard.slice(-2).map(({ type }) => type),
    REVOKED,
  );
});

test('afterwards the server is well and has logged no fault', async () => {
  await sleep(0);
  assert.not.match(server.stderr(), /"level":(50|60)/);
  assert.is((await server.call('GET', '/readyz', { token: null })).status, 200);
});

test.run();
