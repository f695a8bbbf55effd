import * as assert from 'uvu/assert';
import { createEmbeddedBroker, type EmbeddedBroker } from '../../../../brokers/embedded.ts';
import { sessionAddress } from '../../../../machines/address.ts';
import type { GatewayOptions } from '../../../../src/gateway/gateway.ts';
import { createMqttAccess } from '../../../../src/gateway/mqtt-access.ts';
import { connackOf, earOverSse, earOverTcp, earOverWebSocket, type Ear, type Place } from '../../../support/ears.ts';
import { eventually, startGateway, type Json, type TestGateway } from '../../../support/gateway.ts';
import { within } from '../../../support/mqtt-wire.ts';

/** A session on a gateway in memory with its broker over TCP, guests in it, and what they hear. */
export interface Stage {
  on: TestGateway;
  broker: EmbeddedBroker;
  place: Place;
  session: Json;
  path: string;
  /** An execution of the owner that goes on. */
  busy: string;
  ears: Ear[];
  /** What else is to end. */
  ends: (() => void)[];
}

export const begin = async (options: Partial<GatewayOptions> = {}): Promise<Stage> => {
  const access = createMqttAccess();
  const broker = await createEmbeddedBroker({ policy: access.policy });
  const on = await startGateway({ mqtt: { access, server: broker, host: '127.0.0.1', port: 0 }, ...options }, broker);
  const place = { http: on.url, mqttPort: on.mqtt?.port ?? 0 };
  const session = await on.open();
  const path = `/v1/sessions/${session.session_id}`;
  const { body } = await on.call('POST', `${path}/commands`, { body: { command: 'work' } });
  const busy = body.execution_id as string;
  await eventually('it runs', () => on.system.runs.has(busy));
  return { on, broker, place, session, path, busy, ears: [], ends: [] };
};
export const finish = async ({ on, broker, ears, ends }: Stage): Promise<void> => {
  for (const ear of ears) ear.end();
  for (const end of ends) end();
  await on.close();
  await broker.close();
};

export interface Guest {
  readonly share: Json;
  readonly client: Json;
}

export const share = async ({ on, path }: Stage, body: object = {}, token = on.owner): Promise<Json> => {
  const answer = await on.call('POST', `${path}/shares`, { token, body });
  assert.is(answer.status, 201, answer.text);
  return answer.body;
};
export const joinBy = async ({ on }: Stage, token: string): Promise<Json> => {
  const answer = await on.call('POST', '/v1/join', { token: null, body: { token, client_type: 'web' } });
  assert.is(answer.status, 201, answer.text);
  return answer.body;
};
export const invite = async (stage: Stage, body: object = {}): Promise<Guest> => {
  const made = await share(stage, body);
  return { share: made, client: await joinBy(stage, made.token) };
};

/** Every way to listen that a client has. */
export const listen = async ({ place, ears }: Stage, client: Json): Promise<Ear[]> => {
  const base = `arbor/v1/sessions/${client.session_id}`;
  const can = `${base}/clients/${client.client_id}/can`;
  const opened = await Promise.all([
    earOverTcp(place, client, { [`${base}/events/#`]: 1 }),
    earOverTcp(place, client, { [`${base}/events/+/+`]: 0, [`${base}/state`]: 1, [can]: 1 }, ':wild'),
    earOverTcp(place, client, { [`${base}/events/execution_output/+`]: 1, [`${base}/events/+/#`]: 1 }, ':both'),
    earOverWebSocket(place, client, [`${base}/events/#`, `${base}/state`]),
    earOverSse(place, client.session_id, client.client_token),
  ]);
  ears.push(...opened);
  return opened;
};

export const say = ({ on, busy }: Stage, chunk: string): void =>
  on.system.report(busy, { type: 'execution.output', start: 1, stream: 'stdout', chunk });

/** The whole log, or all of some types, by the owner. */
export const logOf = async ({ on, path }: Stage, types = ''): Promise<Json[]> => {
  const all: Json[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const { body }: { body: Json } = await on.call('GET', `${path}/events?after=${after}${types && `&types=${types}`}`);
    all.push(...body.events);
    after = body.next;
  }
  return all;
};

/** The event that says that a client has left. */
export const leftOf = async (stage: Stage, { client_id }: Json): Promise<Json> => {
  let found: Json;
  await eventually('it has left', async () => {
    found = (await logOf(stage, 'client_left')).find(({ data }) => data.client_id === client_id);
    return found !== undefined;
  });
  return found;
};

export const isOver = async (ears: readonly Ear[]): Promise<void> => {
  await within('end of every connection', Promise.all(ears.map(({ over }) => over)));
};

/** Nothing later than `last` was heard, by nobody. */
export const heardNothingAfter = (ears: readonly Ear[], last: number): void => {
  for (const { name, heard } of ears)
    assert.equal(
      heard.filter(({ json }) => json.seq > last).map(({ topic, json }) => [topic, json.seq, json.type]),
      [],
      `${name} heard something after ${last}`,
    );
};

export const isShutOut = async (
  { on, place, path }: Stage,
  { client_id, client_token: token }: Json,
): Promise<void> => {
  for (const suffix of ['', ':again'])
    assert.is(
      await connackOf(place, { clientId: client_id + suffix, username: client_id, password: token }),
      5,
      'a new CONNECT',
    );
  for (const [method, target] of [
    ['GET', path],
    ['GET', `${path}/events`],
    ['POST', `${path}/commands`],
  ] as const) {
    const answer = await on.call(method, target, {
      token,
      ...(method === 'POST' ? { body: { command: 'help' } } : {}),
    });
    assert.is(answer.status, 401, answer.text);
  }
};

export const revokeShare = async ({ on }: Stage, { share_id }: Json): Promise<void> =>
  assert.is((await on.call('DELETE', `/v1/shares/${share_id}`)).status, 200);

/** The time of the session's capabilities has come. */
export const lapse = ({ on, session: { session_id } }: Stage, ms: number): void => {
  on.system.advance(ms);
  on.system.tell({ to: sessionAddress(session_id), message: { type: 'deadline' } });
};

/** Holds what is read of the log until it is let go: pages, not what only asks where the log ends. */
export const holdReads = ({ on }: Stage, pagesOnly = false): { readonly held: () => number; letGo(): void } => {
  const { events } = on.system.reads;
  const waiting: (() => void)[] = [];
  Object.assign(on.system.reads, {
    events: async (...asked: Parameters<typeof events>) => {
      const page = await events(...asked);
      if (!pagesOnly || asked[1].limit > 1) await new Promise<void>((resolve) => waiting.push(resolve));
      return page;
    },
  });
  return {
    held: () => waiting.length,
    letGo: () => {
      Object.assign(on.system.reads, { events });
      for (const go of waiting.splice(0)) go();
    },
  };
};
