import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { canTopic, requestsTopic, repliesTopic } from '../../machines/topic.ts';
import {
  connackOf,
  earOverSse,
  earOverTcp,
  earOverWebSocket,
  eventsOf,
  type Ear,
  type Place,
} from '../support/ears.ts';
import { within } from '../support/mqtt-wire.ts';
import { eventually, type Answer, type Json, type ServerProcess } from '../support/server.ts';

/** The body of an answer with this status. */
export const ok = ({ status, body, text }: Answer, expected: number): Json => {
  assert.is(status, expected, text);
  return body;
};

/** A session of the operator. */
export interface Scene {
  readonly session: Json;
  readonly path: string;
}
/** Somebody who has joined by a share. */
export interface Guest {
  readonly share: Json;
  readonly client: Json;
}

export const pathsOf = ({ session_id, client_id }: Json) => ({
  events: `arbor/v1/sessions/${session_id}/events`,
  state: `arbor/v1/sessions/${session_id}/state`,
  can: canTopic(session_id, client_id),
  replies: repliesTopic(session_id, client_id),
  requests: requestsTopic(session_id, client_id),
});

const rpc = (method: string, params: object, id: string): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params });

/** Whoever is not hit: hears all, in order, and stays. */
export const noticesNothing = async (ears: readonly Ear[], log: readonly Event[]): Promise<void> => {
  for (const ear of ears) {
    await eventually(`${ear.name} is up to date`, () => (eventsOf(ear).at(-1)?.seq ?? 0) >= log.length);
    const events = eventsOf(ear) as Event[];
    const first = events[0]?.seq ?? 0;
    assert.equal(
      events.map(({ seq }) => seq),
      events.map((_, index) => first + index),
      ear.name,
    );
    assert.not.ok(ear.isOver(), `${ear.name} was cut`);
  }
};

/** What tests of a right do on a server; whatever it starts is in `started`, to be ended. */
export const createScenes = (server: ServerProcess, place: Place, started: (() => Promise<void> | void)[]) => {
  const openScene = async (): Promise<Scene> => {
    const session = await server.open();
    const path = `/v1/sessions/${session.session_id}`;
    // What runs in it would keep others from running.
    started.push(async () => void (await server.call('DELETE', path)));
    return { session, path };
  };
  const share = async ({ path }: Scene, body: object = {}, token = server.key): Promise<Json> =>
    ok(await server.call('POST', `${path}/shares`, { token, body }), 201);
  const joinBy = async (token: string): Promise<Json> =>
    ok(await server.call('POST', '/v1/join', { token: null, body: { token, client_type: 'web' } }), 201);
  const invite = async (scene: Scene, body: object = {}): Promise<Guest> => {
    const made = await share(scene, body);
    return { share: made, client: await joinBy(made.token) };
  };

  /** Every way to listen that a client has. */
  const listen = async (client: Json): Promise<Ear[]> => {
    const { events, state, can, replies } = pathsOf(client);
    const opening = [
      earOverTcp(place, client, { [`${events}/#`]: 1 }),
      earOverTcp(place, client, { [`${events}/+/+`]: 0, [state]: 1, [can]: 1, [replies]: 1 }, ':wild'),
      earOverWebSocket(place, client, [`${events}/#`, state, can]),
      earOverSse(place, client.session_id, client.client_token),
    ];
    try {
      const ears = await Promise.all(opening);
      started.push(...ears.map(({ end }) => end));
      return ears;
    } catch (error) {
      for (const each of await Promise.allSettled(opening)) if (each.status === 'fulfilled') each.value.end();
      throw error;
    }
  };

  /** Commands one after the other in several lanes, until it is told to stop. */
  const makeNoise = (session: string): { stop(): Promise<void> } => {
    let going = true;
    const lane = async (): Promise<void> => {
      while (going) await server.execute(session, { command: 'no-op' });
    };
    const lanes = Promise.all(Array.from({ length: 4 }, lane));
    lanes.catch(() => undefined);
    const stop = async (): Promise<void> => {
      going = false;
      await within('end of the noise', lanes, 60_000);
    };
    started.push(stop);
    return { stop };
  };

  const startSlow = async ({ session }: Scene, token: string, ms: number): Promise<string> => {
    const answer = await server.execute(session.session_id, { command: 'slow', args: { ms } }, 'respond-async', token);
    return ok(answer, 202).execution_id;
  };

  /** Requests that come while its right ends: over HTTP and, on a connection of their own, over MQTT. */
  const pesterWith = (
    scene: Scene,
    client: Json,
  ): { readonly answers: Promise<Answer>[]; readonly ear: Promise<Ear> } => {
    const { requests, replies } = pathsOf(client);
    const token = client.client_token;
    const answers = Array.from({ length: 15 }, (_, n) =>
      n % 3 === 0
        ? server.call('GET', `${scene.path}/events?after=0`, { token })
        : server.execute(scene.session.session_id, { command: 'slow', args: { ms: 60_000 } }, 'respond-async', token),
    );
    const publications = Array.from(
      { length: 15 },
      (_, n) => [requests, rpc('commands.execute', { command: 'slow', args: { ms: 60_000 } }, `${n}`)] as const,
    );
    const speak = async (): Promise<Ear> => {
      const opened = await earOverTcp(place, client, { [replies]: 1 }, ':rpc');
      opened.publish(...publications);
      return opened;
    };
    const ear = speak();
    // That it is refused is looked at later.
    ear.catch(() => undefined);
    for (const answer of answers) answer.catch(() => undefined);
    return { answers, ear };
  };

  const isShutOut = async ({ path }: Scene, { client_id, client_token: token }: Json): Promise<void> => {
    for (const suffix of ['', ':wild', ':new'])
      assert.is(await connackOf(place, { clientId: client_id + suffix, username: client_id, password: token }), 5);
    const overWebSocket = await earOverWebSocket(place, { client_id, client_token: token }, ['x'], ':late').then(
      () => assert.unreachable('a login over WebSocket'),
      (error: { code?: number }) => error.code,
    );
    assert.is(overWebSocket, 5);
    const headers = { accept: 'text/event-stream' };
    for (const answer of await Promise.all([
      server.call('GET', path, { token }),
      server.call('GET', `${path}/events`, { token, headers }),
      server.call('POST', `${path}/commands`, { token, body: { command: 'no-op' } }),
      server.call('POST', `${path}/shares`, { token, body: {} }),
    ]))
      assert.equal([answer.status, answer.body.code], [401, 'unauthenticated']);
  };

  return { openScene, share, joinBy, invite, listen, makeNoise, startSlow, pesterWith, isShutOut };
};
