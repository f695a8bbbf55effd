import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { repliesTopic, requestsTopic } from '../../machines/topic.ts';
import { earOverTcp, type Place, type TcpEar } from '../support/ears.ts';
import { within } from '../support/mqtt-wire.ts';
import { eventually, type Answer, type Json, type ServerProcess } from '../support/server.ts';
import { ok } from './scene.ts';

/** An answer, whichever way it came. */
export interface Outcome {
  /** 202 where it was accepted. */
  readonly status: number;
  readonly reason: string | undefined;
  readonly retryAfter: number | undefined;
  readonly limit: Json;
  readonly headers: Headers | null;
}

export const pathOf = ({ session_id }: Json): string => `/v1/sessions/${session_id}`;
export const placeOf = ({ http, mqttPort }: ServerProcess): Place => ({ http, mqttPort });

export const accepted = (outcomes: readonly Outcome[]): number =>
  outcomes.filter(({ status }) => status === 202).length;
/** Everything that was not accepted was refused in this one way. */
export const othersAre = (outcomes: readonly Outcome[], status: number, reason: string): void => {
  for (const each of outcomes)
    if (each.status !== 202) assert.equal([each.status, each.reason], [status, reason], JSON.stringify(each));
};

export const queuedBy = (log: readonly Event[], clients: readonly Json[]): Event[] => {
  const ids = new Set(clients.map(({ client_id }) => client_id as string));
  return log.filter(({ type, metadata }) => type === 'execution_queued' && ids.has(metadata.client_id ?? ''));
};

/** Guests of a server, which may have been started anew meanwhile, and what they ask for, over whatever binding. */
export const createSpending = (current: () => ServerProcess) => {
  const ears: TcpEar[] = [];
  const share = async (
    session: Json,
    constraints: object = {},
    token = current().key,
    more: object = {},
  ): Promise<Json> =>
    ok(await current().call('POST', `${pathOf(session)}/shares`, { token, body: { constraints, ...more } }), 201);
  const tryJoin = (token: string, bearer: string | null = null): Promise<Answer> =>
    current().call('POST', '/v1/join', { token: bearer, body: { token, client_type: 'web' } });
  const joinBy = async ({ token }: Json, bearer: string | null = null): Promise<Json> =>
    ok(await tryJoin(token, bearer), 201);
  const guestsOf = (made: Json, count: number): Promise<Json[]> =>
    Promise.all(Array.from({ length: count }, () => joinBy(made)));

  const askHttp = async (client: Json, body: object): Promise<Outcome> => {
    const answer = await current().execute(client.session_id, body, 'respond-async', client.client_token);
    const { reason, retry_after: retryAfter, limit } = answer.body;
    return { status: answer.status, reason, retryAfter, limit, headers: answer.headers };
  };

  /** Requests over MQTT on a connection of their own; they go out when `send` is called. */
  const openMqtt = async (client: Json) => {
    const { session_id, client_id } = client;
    const replies = repliesTopic(session_id, client_id);
    const ear = await earOverTcp(placeOf(current()), client, { [replies]: 1 }, ':rpc');
    ears.push(ear);
    const replyTo = (id: string): Json => ear.heard.find(({ json }) => json.id === id)?.json;
    return {
      ear,
      /** One request; its response. */
      call: async (method: string, params: object): Promise<Json> => {
        const id = `${method} ${ear.heard.length}`;
        ear.publish([requestsTopic(session_id, client_id), JSON.stringify({ jsonrpc: '2.0', id, method, params })]);
        await eventually(`the answer to ${method}`, () => replyTo(id) !== undefined);
        return replyTo(id);
      },
      send: async (count: number, body: object, prefix: string): Promise<Outcome[]> => {
        const ids = Array.from({ length: count }, (_, n) => `${prefix}${n}`);
        const requests = ids.map((id) =>
          JSON.stringify({ jsonrpc: '2.0', id, method: 'commands.execute', params: { ...body, wait: 0 } }),
        );
        ear.publish(...requests.map((text) => [requestsTopic(session_id, client_id), text] as const));
        await eventually('every reply', () => ids.every((id) => replyTo(id) !== undefined));
        return ids.map((id) => {
          const { result, error } = replyTo(id);
          const { status = result === undefined ? 0 : 202, reason, retry_after: retryAfter, limit } = error?.data ?? {};
          return { status, reason, retryAfter, limit, headers: null };
        });
      },
    };
  };

  /** No id of a request comes twice: a repeat would be answered as the first was. */
  let races = 0;

  /** So many requests of each of these, half of them over HTTP and half over MQTT, all at once. */
  const race = async (
    clients: readonly Json[],
    each: number,
    body: object = { command: 'no-op' },
  ): Promise<Outcome[]> => {
    const lines = await Promise.all(clients.map(openMqtt));
    races += 1;
    const id = races;
    const overMqtt = Math.floor(each / 2);
    const all = clients.flatMap((client, index) => [
      lines[index]?.send(overMqtt, body, `${id}.${index}.`) ?? Promise.resolve([]),
      ...Array.from({ length: each - overMqtt }, async () => [await askHttp(client, body)]),
    ]);
    return (await within('every answer', Promise.all(all), 60_000)).flat();
  };

  return {
    share,
    tryJoin,
    joinBy,
    guestsOf,
    askHttp,
    openMqtt,
    race,
    /** Ends every connection. */
    endAll: (): void => {
      for (const ear of ears.splice(0)) ear.end();
    },
  };
};
